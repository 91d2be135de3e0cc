"""Passwords as argon2id hashes (RFC 9106), so many at once as there is memory for."""

import asyncio
import secrets
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from functions.domain.faults import Reason, Unavailable

P = ParamSpec("P")
T = TypeVar("T")

# 32 MiB and about 60 ms of a core: above what OWASP asks for (19 MiB, 2 passes), and with the two of each process that
# work at once, little beside what a hub takes at rest.
_MEMORY_KIB: Final = 32 * 1024
_PASSES: Final = 3
_AT_ONCE: Final = 2
# Those that wait longer than a caller does are not worth beginning.
_MOST_WAITING: Final = 32


class Argon2Passwords:
    """Hashes and checks passwords in threads of its own (``functions.ports.Passwords``).

    Args:
        memory_kib: that one hash takes.
        passes: over it.
        at_once: hashes that are made at the same time.
        most_waiting: calls that may wait for that.
    """

    def __init__(
        self,
        memory_kib: int = _MEMORY_KIB,
        passes: int = _PASSES,
        *,
        at_once: int = _AT_ONCE,
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=1)
        self._threads = ThreadPoolExecutor(at_once, "passwords")
        self._most = at_once + most_waiting
        self._working = 0
        # Nobody's hash, of no password: to check one against it is as much work as any.
        self._nobodys = f"$argon2id$v=19$m={memory_kib},t={passes},p=1${_random(16)}${_random(32)}"

    async def hash(self, password: str) -> str:
        """The hash of a password, with a salt of its own, as text that names its parameters."""
        return await self._work(self._hash, password)

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Whether a password has this hash; False for no hash, after as much work."""
        return await self._work(self._verify, hashed, password)

    def is_outdated(self, hashed: str) -> bool:
        """Whether a hash was made with other parameters than new ones are."""
        return self._hasher.check_needs_rehash(hashed)

    async def _work(self, work: Callable[P, T], *args: P.args, **_: P.kwargs) -> T:
        if self._working >= self._most:
            raise Unavailable(Reason.RATE_LIMITED, "Too many passwords are being checked. Try again in a moment.")
        self._working += 1
        try:
            # Who leaves takes the place in the queue along; what has begun is finished.
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        finally:
            self._working -= 1

    def _hash(self, password: str) -> str:
        return self._hasher.hash(password)

    def _verify(self, hashed: str | None, password: str) -> bool:
        try:
            self._hasher.verify(hashed or self._nobodys, password)
        except VerifyMismatchError:
            return False
        return hashed is not None


def _random(size: int) -> str:
    return b64encode(secrets.token_bytes(size)).decode().rstrip("=")
