from pathlib import Path

import pytest

from functions.contract.environment import SettingsError
from gateway.settings import Files, Settings


@pytest.fixture
def password(tmp_path: Path) -> str:
    file = tmp_path / "nats-gateway"
    file.write_text("secret\n")
    return str(file)


def test_only_the_password_must_be_told(password: str) -> None:
    settings = Settings.from_env({"HUB_NATS_PASSWORD_FILE": password})

    assert (settings.host, settings.port) == ("0.0.0.0", 8080)
    assert settings.nats_url == "nats://127.0.0.1:4222"
    assert settings.nats_password == "secret"
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:8080", ("::1", 8080)),
        ("[::]:8080", ("::", 8080)),
    ],
)
def test_an_address_is_host_and_port(password: str, text: str, address: tuple[str, int]) -> None:
    settings = Settings.from_env({"HUB_NATS_PASSWORD_FILE": password, "HUB_HTTP_LISTEN": text})

    assert (settings.host, settings.port) == address


@pytest.mark.parametrize("text", ["8080", ":8080", "::1:8080", "[x]:1", "a:b", "a:70000", "a:-1", "a b:1", "a:", "a:٣"])
def test_any_other_address_is_told_with_an_example(password: str, text: str) -> None:
    with pytest.raises(SettingsError, match=r"it must be host:port, for example 0\.0\.0\.0:8080"):
        Settings.from_env({"HUB_NATS_PASSWORD_FILE": password, "HUB_HTTP_LISTEN": text})


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({"HUB_HTTP_LISTEN": "x", "HUB_LOG_LEVEL": "loud"})

    told = str(caught.value).splitlines()
    assert [line.split()[0] for line in told] == ["HUB_HTTP_LISTEN", "HUB_NATS_PASSWORD_FILE", "HUB_LOG_LEVEL"]


def test_tls_needs_a_certificate_and_its_key(password: str) -> None:
    told = {"HUB_NATS_PASSWORD_FILE": password, "HUB_HTTP_TLS": "files"}
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(told)
    assert [line.split()[0] for line in str(caught.value).splitlines()] == [
        "HUB_HTTP_CERTIFICATE_FILE",
        "HUB_HTTP_KEY_FILE",
    ]

    told |= {"HUB_HTTP_CERTIFICATE_FILE": "/a.crt", "HUB_HTTP_KEY_FILE": "/a.key"}
    assert Settings.from_env(told).tls == Files(Path("/a.crt"), Path("/a.key"))


@pytest.mark.parametrize(
    ("text", "proxies"),
    [
        (None, ("127.0.0.0/8", "::1")),
        ("none", ()),
        ("10.0.0.0/8, 192.0.2.1,10.0.0.0/8", ("10.0.0.0/8", "192.0.2.1")),
    ],
)
def test_proxies_are_addresses_and_networks(password: str, text: str | None, proxies: tuple[str, ...]) -> None:
    told = {"HUB_NATS_PASSWORD_FILE": password, **({} if text is None else {"HUB_HTTP_PROXIES": text})}

    assert Settings.from_env(told).proxies == proxies


@pytest.mark.parametrize("text", ["*", "proxy.example", "10.0.0.1/8", "10.0.0.0/8,none"])
def test_any_other_proxy_is_told(password: str, text: str) -> None:
    with pytest.raises(SettingsError, match="neither an IP address nor a network"):
        Settings.from_env({"HUB_NATS_PASSWORD_FILE": password, "HUB_HTTP_PROXIES": text})


def test_the_folder_of_the_interface_must_be_there(password: str, tmp_path: Path) -> None:
    told = {"HUB_NATS_PASSWORD_FILE": password, "HUB_WEBUI_DIR": str(tmp_path)}
    assert Settings.from_env(told).webui == tmp_path

    with pytest.raises(SettingsError, match="which is no folder"):
        Settings.from_env(told | {"HUB_WEBUI_DIR": str(tmp_path / "none")})
