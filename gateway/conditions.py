"""Conditional changes (RFC 9110, 13): the version that ``If-Match`` names becomes what the function expects."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request
from pydantic_core import from_json

from functions.domain.faults import Conflict, Malformed, Reason
from gateway.problems import Refusal

# A proxy that compresses makes a tag weak on the way; it stands for the same versions.
_TAG: Final = r'\s*(?:W/)?"[^"]*"\s*'
_TAGS: Final = re.compile(f"{_TAG}(?:,{_TAG})*")


@dataclass(frozen=True, slots=True)
class Tags:
    """The ETags of one kind of thing.

    Args:
        pattern: of one, with the version as its first group.
        example: of one.
        thing: what has it, ``twin``.
        part: what of it the version is of, ``the desired half``.
    """

    pattern: re.Pattern[str]
    example: str
    thing: str
    part: str

    def matched(self, given: list[str]) -> int:
        """The version that ``If-Match`` asks for.

        Raises:
            Malformed: it is no list of ETags, or names more than one version.
            Refusal: there never was any of these ETags (412).
        """
        text = ",".join(given)
        if _TAGS.fullmatch(text) is None:
            raise Malformed(detail=f"If-Match must be an ETag of the {self.thing}, such as {self.example}.")
        versions = {int(version) for version in self.pattern.findall(text)}
        if not versions:
            raise Refusal(Conflict(detail=f"The {self.thing} never had the ETag that If-Match names."), status=412)
        if len(versions) > 1:
            raise Malformed(detail=f"If-Match names several versions of {self.part}; one can be compared.")
        return versions.pop()


async def change(request: Request, tags: Tags, body: bytes, send: Callable[[bytes], Awaitable[bytes]]) -> bytes:
    """Have a change made, under the condition that the request names; ``send`` is given the body with it.

    Raises:
        Fault: what the function answered.
        Refusal: the condition does not hold (412).
    """
    given = request.headers.getlist("if-match")
    if not given or given == ["*"]:
        return await send(body)
    try:
        return await send(_expecting(tags.matched(given), body))
    except Conflict as fault:
        if fault.reason is not Reason.VERSION_CONFLICT:
            raise
        raise Refusal(fault, status=412) from fault


def _expecting(version: int, body: bytes) -> bytes:
    """A change with the version that it expects, the rest of it byte for byte.

    Raises:
        Malformed: it is no object, or expects another version itself.
    """
    try:
        # As the functions read it: what they would take must not get there without its condition.
        wish: Any = from_json(body, allow_inf_nan=False)
    except ValueError as problem:
        raise Malformed(detail=f"The payload is not JSON: {problem}.") from problem
    if not isinstance(wish, dict):
        raise Malformed(detail="payload: must be an object", fields={"payload": "must be an object"})
    if "expectedVersion" in wish:
        own = wish["expectedVersion"]
        if type(own) is not int or own != version:
            wrong = "is not the version that If-Match names"
            raise Malformed(detail=f"expectedVersion: {wrong}", fields={"expectedVersion": wrong})
        return body
    rest = body[body.index(b"{") + 1 :]
    return b'{"expectedVersion":%d%s%s' % (version, b"," if wish else b"", rest)
