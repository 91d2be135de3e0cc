"""What is written at once is what the messages would have said."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from functions.contract.halves import accepted, documents
from functions.contract.messages import TwinAccepted, TwinDocuments, TwinHalf, TwinUpdated
from functions.domain.names import DeviceId
from functions.domain.twins import Half
from functions.testing import START

DEVICE = DeviceId("EDGB-0001")
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
HALVES = st.builds(Half, version=st.integers(0, 2**40), doc=st.dictionaries(st.text(max_size=3), VALUES, max_size=3))


def sent(half: Half) -> TwinHalf:
    return TwinHalf(version=half.version, doc=half.doc)


@given(HALVES, HALVES, st.booleans(), st.none() | st.text(max_size=5), st.integers(0, 999_999))
def test_the_answer_to_a_device_is_the_message(
    desired: Half, reported: Half, is_updated: bool, token: str | None, microsecond: int
) -> None:
    at = START.replace(microsecond=microsecond)
    echo: dict[str, Any] = {} if token is None else {"client_token": token}
    message = TwinAccepted(
        device_id=DEVICE,
        operation="update",
        desired=sent(desired),
        reported=sent(reported),
        updated=TwinUpdated(desired=None, reported=sent(reported) if is_updated else None),
        timestamp=at,
        **echo,
    )

    told = accepted(DEVICE, "update", desired, reported, is_updated=is_updated, token=token, at=at)

    assert told.encode() == message.encode()


@given(HALVES, HALVES, HALVES)
def test_the_event_of_a_change_is_the_message(desired: Half, before: Half, after: Half) -> None:
    message = TwinDocuments(
        device_id=DEVICE,
        before=TwinUpdated(desired=sent(desired), reported=sent(before)),
        after=TwinUpdated(desired=sent(desired), reported=sent(after)),
        by="user:anna",
        timestamp=START,
    )

    told = documents(DEVICE, (desired, before), (desired, after), by="user:anna", at=START)

    assert told.encode() == message.encode()
