"""Settings read from the environment."""

from pathlib import Path

import pytest

from functions.contract.environment import Environment, SettingsError, grace_seconds


def test_settings_are_read_by_their_kind(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("abc\n")
    env = Environment({"A": " text ", "B": "json", "C": "5", "D": "/x/y", "E": str(tmp_path / "secret")})

    assert env.text("A") == "text"
    assert env.choice("B", ("auto", "json"), "auto") == "json"
    assert env.number("C", 1, least=1, most=5) == 5
    assert env.path("D") == Path("/x/y")
    assert env.secret("E") == "abc"
    env.done()


def test_what_is_not_set_takes_its_default() -> None:
    env = Environment({"A": "", "B": "  "})

    assert env.text("A", "x") == "x"
    assert env.choice("B", ("auto", "json"), "auto") == "auto"
    assert env.number("C", 7, least=1, most=9) == 7
    assert env.path("D", "/x") == Path("/x")
    env.done()


def test_every_fault_is_found_before_any_is_reported(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    env = Environment(
        {
            "WORD": "loud",
            "NUMBER": "five",
            "HIGH": "11",
            "NEGATIVE": "-1",
            "FILE": "/nowhere",
            "EMPTY": str(tmp_path / "empty"),
            "BINARY": str(tmp_path / "binary"),
        }
    )

    env.text("MISSING")
    env.choice("WORD", ("quiet",), "quiet")
    for name in ("NUMBER", "HIGH", "NEGATIVE"):
        assert env.number(name, 3, least=0, most=10) == 3
    for name in ("FILE", "EMPTY", "BINARY", "NO_FILE"):
        assert env.secret(name) == ""
    env.fault("two settings do not go together")

    with pytest.raises(SettingsError) as told:
        env.done()
    lines = str(told.value).splitlines()
    assert len(lines) == 10
    for name in ("MISSING", "WORD", "NUMBER", "HIGH", "NEGATIVE", "FILE", "EMPTY", "BINARY", "NO_FILE"):
        assert sum(line.startswith(f"{name} ") for line in lines) == 1, name


def test_a_secret_is_never_in_a_fault(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2")
    env = Environment({"SECRET": str(tmp_path / "secret")})
    env.secret("SECRET")
    env.text("MISSING")

    with pytest.raises(SettingsError) as told:
        env.done()
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize(("text", "seconds"), [("", 7 * 24 * 3600), ("10", 10), ("31536000", 31_536_000)])
def test_a_renewal_may_wait_for_its_confirmation_as_long_as_is_set(text: str, seconds: int) -> None:
    env = Environment({"HUB_RENEWAL_GRACE_SECONDS": text})

    assert grace_seconds(env) == seconds
    env.done()


@pytest.mark.parametrize("text", ["9", "0", "-1", "7d", "31536001", "1e5"])
def test_a_wrong_time_to_confirm_is_named(text: str) -> None:
    env = Environment({"HUB_RENEWAL_GRACE_SECONDS": text})
    grace_seconds(env)

    with pytest.raises(SettingsError, match="HUB_RENEWAL_GRACE_SECONDS is"):
        env.done()


def passphrase_of(**environ: str) -> bytes | None:
    env = Environment(environ)
    found = env.passphrase("HUB_CA_PASSPHRASE_FILE", "ca-passphrase")
    env.done()
    return found


def test_a_passphrase_is_optional(tmp_path: Path) -> None:
    assert passphrase_of() is None
    assert passphrase_of(CREDENTIALS_DIRECTORY=str(tmp_path)) is None


def test_a_passphrase_is_in_the_file_that_is_named_or_a_credential_of_the_service(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a passphrase of a file\n")
    (tmp_path / "ca-passphrase").write_bytes(b"a passphrase of systemd\r\n")

    assert passphrase_of(CREDENTIALS_DIRECTORY=str(tmp_path)) == b"a passphrase of systemd"
    named = {"HUB_CA_PASSPHRASE_FILE": str(tmp_path / "file"), "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert passphrase_of(**named) == b"a passphrase of a file"


@pytest.mark.parametrize("content", ["", "\n", "fifteen bytes..", "x" * 1024, None])
def test_a_passphrase_that_is_none_or_too_short_is_a_fault_that_does_not_show_it(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "file").write_text(content)

    with pytest.raises(SettingsError, match="HUB_CA_PASSPHRASE_FILE names a file") as told:
        passphrase_of(HUB_CA_PASSPHRASE_FILE=str(tmp_path / "file"))

    assert len(str(told.value).splitlines()) == 1
    assert "fifteen" not in str(told.value)
