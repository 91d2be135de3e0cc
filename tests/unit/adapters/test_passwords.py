"""Passwords as argon2id hashes."""

import asyncio

import pytest

from functions.adapters.passwords import Argon2Passwords
from functions.domain.faults import Reason, Unavailable


async def test_a_hash_is_of_one_password_and_says_how_it_was_made() -> None:
    passwords = Argon2Passwords()

    hashed = await passwords.hash("correct horse battery")

    assert hashed.startswith("$argon2id$v=19$m=32768,t=3,p=1$")
    assert await passwords.verify(hashed, "correct horse battery")
    assert not await passwords.verify(hashed, "correct horse")
    assert not passwords.is_outdated(hashed)
    assert Argon2Passwords(memory_kib=8, passes=1).is_outdated(hashed)


async def test_nobodys_hash_is_no_passwords_and_made_like_all() -> None:
    passwords = Argon2Passwords(memory_kib=8, passes=1)

    assert not await passwords.verify(None, "")
    assert not await passwords.verify(None, "correct horse battery")
    assert not passwords.is_outdated(passwords._nobodys)


async def test_more_than_can_wait_are_refused_at_once_and_the_others_answered() -> None:
    passwords = Argon2Passwords(memory_kib=8, passes=1, at_once=1, most_waiting=4)

    outcomes = await asyncio.gather(*(passwords.hash("a") for _ in range(20)), return_exceptions=True)

    refused = [one for one in outcomes if isinstance(one, Unavailable)]
    assert {one.reason for one in refused} == {Reason.RATE_LIMITED}
    assert len(outcomes) - len(refused) == 5
    assert await passwords.hash("a")


async def test_who_leaves_makes_room() -> None:
    passwords = Argon2Passwords(memory_kib=8, passes=1, at_once=1, most_waiting=0)
    first = asyncio.create_task(passwords.hash("a"))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first

    assert await passwords.hash("b")
