from infra.settings import Settings
from infra.stack.hosts import certificate_names, device_host, usable_addresses


def test_the_names_that_are_set_and_this_machine_are_in_the_certificate() -> None:
    settings = Settings.from_env({"HUB_HOSTNAMES": "hub.example,192.168.1.4,localhost,2001:DB8:0::1"})

    assert certificate_names(settings) == ("hub.example", "192.168.1.4", "localhost", "2001:db8::1", "127.0.0.1")


def test_without_names_this_host_is_named() -> None:
    names = certificate_names(Settings.from_env({}))

    assert names[-2:] == ("localhost", "127.0.0.1")
    assert len(set(names)) == len(names)


def test_only_addresses_that_others_can_use_are_taken_in_a_stable_order() -> None:
    found = [
        "aa:bb:cc:dd:ee:ff",
        "10.0.0.9",
        "127.0.0.1",
        "169.254.1.1",
        "fe80::1%eth0",
        "::1",
        "2001:db8::7",
        "10.0.0.10",
    ]

    assert usable_addresses(found) == ("10.0.0.9", "10.0.0.10", "2001:db8::7")
    assert usable_addresses(reversed(found)) == usable_addresses(found)


def test_devices_are_told_the_first_name_that_is_set() -> None:
    assert device_host(Settings.from_env({"HUB_HOSTNAMES": "hub.example,10.0.0.1"})) == "hub.example"


def test_devices_are_told_the_one_address_that_is_listened_on() -> None:
    assert device_host(Settings.from_env({"HUB_MQTT_LISTEN": "127.0.0.1:8883"})) == "127.0.0.1"


def test_else_devices_are_told_an_address_or_name_of_this_host() -> None:
    assert device_host(Settings.from_env({}))
