"""The CRL on disk and in the broker: written whole, read back, and loaded for certain.

What was found with Mosquitto 2.0.11:

* A CRL that it cannot read leaves revoked certificates valid. It also makes
  the broker give up the reload half way, before connected users have got
  their own lines of the ACL file back. Only the bridge has such lines: until
  a reload succeeds or it connects anew, all that it publishes is refused, and
  all that devices send it is confirmed to them and lost.
* A SIGHUP during a reload is lost (20 of 20). So whatever reload runs is
  waited out first, by a round trip, and there is never more than one of ours.
* It takes back a refusal of the bridge only with a good reload, so that a
  message it takes again is a sign of one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog
from cryptography import x509

from bridge.broker.alarms import Alarms
from bridge.broker.lines import Line, ReloadFailed, Reloading
from functions.contract.files import write_file
from functions.domain.faults import Denied, Malformed, Unavailable

_TOLD_WITHIN_SECONDS = 0.5
_LOOK_AGAIN_SECONDS = 0.01
_SIGNALS = 6
# Read by the broker under its own user, and secret to nobody.
_MODE = 0o644
_END = b"-----END X509 CRL-----"

log = structlog.get_logger("bridge.broker")


class CrlFile:
    """The file that the broker's ``crlfile`` names: one CRL of each issuing CA, one after the other."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def holds(self, pem: str) -> bool:
        """Whether the file has exactly this content."""
        try:
            return self._path.read_bytes() == pem.encode()
        except OSError:
            # Missing or unreadable: writing it anew is the remedy, and tells if that fails too.
            return False

    def write(self, pem: str) -> None:
        """Replace the content so that at no time, power cuts included, anything but a whole CRL is there.

        Raises:
            Malformed: the text is no CRL; the file is as it was.
            Unavailable: the file cannot be written.
        """
        check(pem)
        try:
            write_file(self._path, pem.encode(), mode=_MODE)
            is_there = self.holds(pem)
        except OSError as problem:
            raise Unavailable(detail=f"The CRL cannot be written: {problem}.") from problem
        if not is_there:
            raise Unavailable(detail="The CRL was written and reads back as something else.")


def check(pem: str) -> list[x509.CertificateRevocationList]:
    """Read the CRLs of a PEM text.

    Raises:
        Malformed: there is none, or one cannot be read.
    """
    blocks = [part + _END for part in pem.encode().split(_END)[:-1]]
    try:
        lists = [x509.load_pem_x509_crl(block) for block in blocks]
    except ValueError as problem:
        raise Malformed(detail=f"The CRL cannot be read: {problem}.") from problem
    if not lists:
        raise Malformed(detail="There is no CRL in the text.")
    return lists


def is_lapsed(lists: list[x509.CertificateRevocationList], now: datetime) -> bool:
    """Whether the broker will refuse every certificate of one of the CAs, because its CRL's time is over."""
    return any(crl.next_update_utc is not None and crl.next_update_utc <= now for crl in lists)


class Loader:
    """Gets a CRL into the broker.

    Args:
        file: the CRL file.
        reload: has the broker read its files again, if it notices.
        answers: one round trip with the broker; Denied if it refuses the message.
        alarms: where a broker that cannot read its files is told.
        told_within: seconds in which the log should tell that the broker has noticed.
    """

    def __init__(
        self,
        file: CrlFile,
        *,
        reload: Callable[[], None],
        answers: Callable[[], Awaitable[None]],
        alarms: Alarms,
        told_within: float = _TOLD_WITHIN_SECONDS,
    ) -> None:
        self._file = file
        self._signal = reload
        self._told_within = told_within
        self._answers = answers
        self._alarms = alarms
        self._reloading = asyncio.Event()
        self._failed = False
        self._one = asyncio.Lock()
        # What the broker is known to have loaded. Unknown at first: a bridge
        # that died between writing and reloading left the file right and the
        # broker wrong.
        self._loaded: str | None = None

    def forget(self) -> None:
        """Assume no longer that the broker has what is on disk."""
        self._loaded = None

    def hear(self, line: Line) -> None:
        """Take note of what the log tells about reloads."""
        if isinstance(line, Reloading):
            self._reloading.set()
        elif isinstance(line, ReloadFailed):
            # Maybe the reload was somebody else's; the broker has no CRL now all the same.
            self._failed = True
            self._loaded = None
            self._alarms.tell("broker-reload-failed", detail=line.text, at=line.at)

    async def load(self, pem: str) -> bool:
        """Have the broker refuse what the list names; whether anything had to be done.

        Calls that come while one runs wait for it.

        Raises:
            Malformed: the text is no CRL.
            Denied: the broker cannot load its files, and refuses us from now on.
            Unavailable: the file cannot be written, or the broker did not load it in time.
        """
        async with self._one:
            if self._loaded == pem and self._file.holds(pem):
                return False
            if is_lapsed(check(pem), datetime.now(UTC)):
                self._alarms.tell("crl-lapsed")
            if not self._file.holds(pem):
                await asyncio.to_thread(self._file.write, pem)
            await self._reload()
            self._loaded = pem
            return True

    async def _reload(self) -> None:
        """Signal until the broker has begun to read its files after it, and make sure that it could."""
        for _ in range(_SIGNALS):
            # Whatever reload was under way is over after this, and its lines are here.
            was_heard = await self._is_answered()
            self._reloading.clear()
            self._failed = False
            self._signal()
            # The broker looks at signals after each packet, else every 100 ms.
            await self._is_answered()
            has_begun = await (self._is_told() if was_heard else self._is_heard_again())
            if not await self._is_answered() or self._failed:
                raise Denied(detail="The broker cannot load its files; its log says which.")
            if has_begun:
                return
        raise Unavailable(detail="The broker does not load the CRL.")

    async def _is_told(self) -> bool:
        """Whether the log says in time that the broker has noticed the signal."""
        try:
            async with asyncio.timeout(self._told_within):
                await self._reloading.wait()
        except TimeoutError:
            return False
        return True

    async def _is_heard_again(self) -> bool:
        """Whether a broker that refused us takes a message in time."""
        try:
            async with asyncio.timeout(self._told_within):
                # The broker tells nobody when it is done.
                while not await self._is_answered():  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        except TimeoutError:
            return False
        return True

    async def _is_answered(self) -> bool:
        """One round trip; False if the broker refused the message."""
        try:
            await self._answers()
        except Denied:
            return False
        return True
