"""``devicehub device update``, ``retire`` and ``swap``: what operators change in a device's record."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.connection import ask, plain
from infra.cli.console import say, say_json
from infra.cli.options import AsJson, Data, Device

if TYPE_CHECKING:
    from functions.contract.messages import DeviceRecord


def register(app: typer.Typer) -> None:
    """Add the commands to those of devices."""
    app.command(epilog="Example: devicehub device update pump-0007 --role cellar-pump --tag floor=-1")(update)
    app.command(epilog="Example: devicehub device retire pump-0007")(retire)
    app.command(epilog="Example: devicehub device swap pump-0007 pump-0042")(swap)


def update(
    device: Device,
    name: Annotated[str | None, typer.Option(help="The name that is shown; empty for none.")] = None,
    role: Annotated[str | None, typer.Option(help="The role it is addressed by; empty for none.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="A group it is in; all of them, empty for none.")] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="A tag to set.")] = None,
    untag: Annotated[list[str] | None, typer.Option(metavar="KEY", help="A tag to take away.")] = None,
    notes: Annotated[str | None, typer.Option(help="Notes; empty for none.")] = None,
    expected_version: Annotated[int | None, typer.Option(min=0, help="Refuse unless the record has it.")] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Change what the registry keeps of a device; what is not named stays.

    A role is one device's, and leads to it wherever its id does.
    """
    from functions.contract.messages import DeviceRecord
    from infra.cli.tables import show_facts

    patch = _patch(
        displayName=name,
        role=role,
        groups=None if group is None else [one for one in group if one],
        tags=_tags(tag or [], untag or []),
        notes=notes,
    )
    if not patch:
        raise typer.BadParameter("Name what to change: --name, --role, --group, --tag, --untag or --notes.")
    asked = _update(patch | _patch(expectedVersion=expected_version))
    view = ask(data, f"devicehub.registry.devices.{device}.update", asked, DeviceRecord)
    if as_json:
        say_json(plain(view))
    else:
        show_facts(facts_of(view))


def retire(device: Device, data: Data = None) -> None:
    """Retire a device: its certificates are revoked, its connection is cut, its role is free; its record stays.

    'devicehub device create' brings the device back, with a new certificate.
    """
    from functions.contract.messages import DeviceRecord, DeviceRetire

    view = ask(data, f"devicehub.registry.devices.{device}.retire", DeviceRetire(), DeviceRecord)
    say(f"The device {view.device_name} is retired.")


def swap(
    device: Device,
    replacement: Annotated[str, typer.Argument(metavar="REPLACEMENT", help="The id of the device that takes over.")],
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Put another device in the place of one: role, groups, tags and desired state move, and the old one is retired.

    All of it happens or nothing. The replacement must be active.
    """
    from functions.contract.messages import DeviceRecord, DeviceSwap

    subject = f"devicehub.registry.devices.{device}.swap"
    view = ask(data, subject, DeviceSwap(replacement=replacement), DeviceRecord)
    if as_json:
        say_json(plain(view))
        return
    role = f" and has the role {view.role}" if view.role else ""
    say(f"{view.device_name} takes the place of {view.replaces}{role}; {view.replaces} is retired.")


def facts_of(view: "DeviceRecord") -> list[tuple[str, str]]:
    """What a person is shown of a device, with what each is called."""
    from infra.cli.tables import moment

    certificate = view.certificate
    evidence = str((view.presence or {}).get("evidence", ""))
    return [
        ("Device", view.device_name),
        ("Name", view.display_name),
        ("Role", view.role or ""),
        ("Status", f"{view.status} ({evidence})" if evidence else view.status),
        ("Last seen", moment(view.last_seen)),
        ("Lifecycle", view.lifecycle),
        ("Groups", ", ".join(view.groups)),
        ("Tags", ", ".join(f"{name}={value}" for name, value in view.tags.items())),
        ("Model", _with_source(view, "model", view.model)),
        ("Firmware", _with_source(view, "firmware", view.firmware)),
        ("Certificate", certificate.serial if certificate else ""),
        ("Fingerprint", (certificate.fingerprint or "") if certificate else ""),
        ("Valid until", moment(certificate.not_after) if certificate else ""),
        ("Replaces", view.replaces or ""),
        ("Replaced by", view.replaced_by or ""),
        ("Notes", view.notes),
        ("Created", moment(view.created_at)),
        ("Updated", moment(view.updated_at)),
        ("Version", str(view.version)),
    ]


def _with_source(view: "DeviceRecord", name: str, text: str) -> str:
    source = view.sources.get(name)
    return f"{text} ({source})" if text and source else text


def _patch(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _tags(tags: list[str], untag: list[str]) -> dict[str, str | None] | None:
    found: dict[str, str | None] = dict.fromkeys(untag)
    for text in tags:
        key, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"A tag is KEY=VALUE, not '{text}'.")
        found[key] = value
    return found or None


def _update(patch: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    from functions.contract.messages import DeviceUpdate

    try:
        return DeviceUpdate.model_validate(patch)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise typer.BadParameter(f"{place}: {first['msg']}") from problem
