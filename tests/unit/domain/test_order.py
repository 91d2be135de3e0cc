"""Which of two messages of a device came first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.faults import Malformed
from functions.domain.order import Order

ORDERS = st.builds(Order, st.sampled_from(["a-control", "b-control"]), st.integers(0, 3), st.integers(0, 2**63))


@given(ORDERS)
def test_an_order_is_read_back_from_its_text(order: Order) -> None:
    assert Order.parse(str(order)) == order


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a/1",
        "a/1/2/3",
        "/1/2",
        "a/x/2",
        "a/1/",
        "a/-1/2",
        "a/1/2.5",
        "a/ 1/2",
        "a/1/²",
        "a/" + "9" * 5000 + "/1",
    ],
)
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        Order.parse(text)


def test_a_later_epoch_comes_after_every_number_of_an_earlier_one() -> None:
    assert Order("a", 1, 999).is_before(Order("a", 2, 1))
    assert not Order("a", 2, 1).is_before(Order("a", 1, 999))


def test_a_message_is_not_before_itself_nor_before_nothing() -> None:
    assert not Order("a", 1, 1).is_before(Order("a", 1, 1))
    assert not Order("a", 1, 1).is_before(None)


@given(ORDERS, ORDERS)
def test_of_two_messages_at_most_one_is_before_the_other(one: Order, other: Order) -> None:
    assert not (one.is_before(other) and other.is_before(one))


@given(ORDERS, ORDERS)
def test_messages_through_different_bridges_have_no_order(one: Order, other: Order) -> None:
    if one.bridge != other.bridge:
        assert not one.is_before(other)
