import pytest

from bridge.broker.figures import TOPICS, Figures


def test_the_last_value_of_each_figure_is_told() -> None:
    figures = Figures()
    for number in (b"3", b"12"):
        assert figures.take("$SYS/broker/clients/connected", number)

    assert figures.to_json() == {"clients": 12}


@pytest.mark.parametrize("payload", [b"", b"-1", b"1.5", b"many", b"9" * 5000, b"\xff"])
def test_what_is_no_number_is_passed_over(payload: bytes) -> None:
    figures = Figures()

    assert figures.take(TOPICS[0], payload)
    assert figures.to_json() == {}


def test_what_is_no_figure_is_for_others() -> None:
    assert not Figures().take("$CONTROL/dynamic-security/v1/response", b"1")
