"""What the gateway says of a request besides its caller."""

import pytest

from gateway.attempts import origin_of


@pytest.mark.parametrize(
    ("client", "origin"),
    [
        (("192.0.2.7", 4711), "http:192.0.2.7"),
        (("2001:db8::1", 4711), "http:2001:db8::1"),
        (None, "http"),
        (("", 0), "http"),
        (("an address, perhaps", 0), "http"),
        (("x" * 100, 0), "http"),
    ],
)
def test_a_request_comes_from_its_clients_address(client: tuple[str, int] | None, origin: str) -> None:
    assert origin_of({"type": "http", "client": client}) == origin
