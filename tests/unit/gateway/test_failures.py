from gateway.failures import Failures


def fail(failures: Failures, address: str, now: float) -> bool:
    """Whether the address may try, and then does."""
    if failures.wait(address, now) > 0:
        return False
    failures.note(address, now)
    return True


def test_an_address_may_fail_so_often_and_then_once_in_a_while() -> None:
    failures = Failures(at_once=5, every_seconds=2.0)

    assert [fail(failures, "192.0.2.1", 100.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert failures.wait("192.0.2.1", 100.5) == 1.5
    assert not fail(failures, "192.0.2.1", 101.9)
    assert fail(failures, "192.0.2.1", 102.0)
    assert not fail(failures, "192.0.2.1", 103.9)
    assert [fail(failures, "192.0.2.1", 200.0) for _ in range(6)] == [True] * 5 + [False]


def test_addresses_are_counted_apart() -> None:
    failures = Failures(at_once=1)
    fail(failures, "192.0.2.1", 100.0)

    assert not fail(failures, "192.0.2.1", 100.0)
    assert fail(failures, "192.0.2.2", 100.0)


def test_the_addresses_that_one_holder_of_ipv6_has_are_counted_together() -> None:
    failures = Failures(at_once=1)
    fail(failures, "2001:db8:1:2::1", 100.0)

    assert not fail(failures, "2001:db8:1:2:ffff::9", 100.0)
    assert fail(failures, "2001:db8:1:3::1", 100.0)
    assert fail(failures, "not:an:address", 100.0)
    assert fail(failures, "x" * 100_000, 100.0)
    assert max(map(len, failures._clean_at)) <= 64


def test_failures_at_the_same_moment_make_nobody_wait_for_ever() -> None:
    failures = Failures(at_once=5, every_seconds=2.0)
    for _ in range(1000):
        failures.note("192.0.2.1", 100.0)

    assert failures.wait("192.0.2.1", 100.0) == 2.0


def test_no_more_addresses_are_remembered_than_stated() -> None:
    failures = Failures(at_once=1, addresses=100)
    for number in range(1000):
        fail(failures, f"10.0.{number // 256}.{number % 256}", 100.0)

    assert len(failures._clean_at) == 100
    assert fail(failures, "10.0.0.1", 100.0)
    assert not fail(failures, "10.0.3.231", 100.0)
