"""`kinflow edge code`, `requests`, `approve` and the like: beside the running edge server, or without it."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.config.load import load
from node.home import find_home
from node.printable import printable

if TYPE_CHECKING:
    from edge_server.trust.operator import Operator
    from edge_server.trust.trust import EdgeTrust
    from node.trust.records import CodeRow

Home = Annotated[Path | None, typer.Option(help="The state folder; else $KINFLOW_HOME or the usual place.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Device = Annotated[str, typer.Argument(help="The device's id.")]
Number = Annotated[str, typer.Argument(help="The request's number, or as much of it as is unique; or the device's id.")]
Minutes = Annotated[float | None, typer.Option(help="How long it is good; 15 unless set.", min=0.1, max=43_200)]


def add_commands(app: typer.Typer) -> None:
    for command in (code, requests, approve, refuse, revoke, rename, replace, move, seen):
        app.command()(command)


def code(  # noqa: PLR0917 (a command's options)
    minutes: Minutes = None,
    device: Annotated[str | None, typer.Option("--for", help="The only device id that it is good for.")] = None,
    approved: Annotated[bool, typer.Option("--approved", help="Nobody has to agree again.")] = False,
    edge: Annotated[bool, typer.Option("--edge-server", help="For another edge server, not for a device.")] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Make a one-time code by which one device joins."""
    from protocol.ids import device_id  # noqa: PLC0415

    with opened(home) as (trust, operator):
        made = trust.desk.make_code(
            minutes or trust.options.code_minutes,
            device=device_id(device) if device else "",
            role="edge" if edge else "device",
            approved=approved,
            actor=operator.actor,
        )
        _show_code(trust, made, as_json)


def requests(as_json: AsJson = False, home: Home = None) -> None:
    """List the devices that ask to join."""
    from edge_server.trust.views import request_view  # noqa: PLC0415

    with opened(home) as (trust, _):
        rows = [request_view(row) for row in trust.desk.requests()]
    if as_json:
        typer.echo(json.dumps({"requests": [row.model_dump() for row in rows]}))
        return
    for row in rows:
        typer.echo(f"{row.id[:8]}  {row.device:<24}{row.role:<12}{row.address:<18}key {row.fingerprint}")
    if not rows:
        typer.echo("No device asks to join.")


def approve(number: Number, home: Home = None) -> None:
    """Let a device in. Compare the key's fingerprint with what it shows."""
    with opened(home) as (trust, operator):
        row = trust.desk.approve(_request(trust, number), operator.actor)
        typer.echo(f"{row.device if row else number} is let in.")


def refuse(number: Number, home: Home = None) -> None:
    """Keep a device out."""
    with opened(home) as (trust, operator):
        row = trust.desk.refuse(_request(trust, number), operator.actor)
        typer.echo(f"{row.device if row else number} is kept out.")


def revoke(device: Device, home: Home = None) -> None:
    """Put a device out. A running edge server ends its connection within a second."""
    with opened(home) as (_, operator):
        operator.revoke(device)
        typer.echo(f"{device} is revoked.")


def rename(device: Device, name: Annotated[str, typer.Argument(help="For people.")], home: Home = None) -> None:
    """Give a device another name for people. Its id stays: history and the site file go by it."""
    with opened(home) as (_, operator):
        typer.echo(f"{device} is called {operator.rename(device, name).name!r}.")


def replace(device: Device, minutes: Minutes = None, as_json: AsJson = False, home: Home = None) -> None:
    """Make a code with which another board takes a device's place and id."""
    with opened(home) as (trust, operator):
        _show_code(trust, operator.replace(device, minutes), as_json)


def move(
    device: Device,
    join_code: Annotated[str, typer.Option("--code", help="Made on the other edge server: `kinflow edge code`.")],
    edge: Annotated[str, typer.Option("--edge", help="The other edge server's HOST[:PORT].")],
    home: Home = None,
) -> None:
    """Send a device to another edge server. It stays here until it is in there."""
    with opened(home) as (_, operator):
        operator.move(device, join_code, edge)
        typer.echo(f"{device} is told to go to {edge}.")


def seen(home: Home = None) -> None:
    """Say that the alarms about joining were looked into."""
    with opened(home) as (_, operator):
        typer.echo(f"{operator.seen()} kinds of alarms are cleared.")


def joined(home: Path | None) -> list[dict[str, object]]:
    """Those that have joined, with where each asked from and its key's fingerprint."""
    from edge_server.trust.views import joined_view  # noqa: PLC0415
    from node.trust.records import RequestRow  # noqa: PLC0415

    if not ((home or find_home()) / "authority" / "authority.db").exists():
        return []
    with opened(home) as (trust, _):
        asked = {row.key_digest: row.address for row in trust.records.all(RequestRow, "requests", state="issued")}
        rows = trust.registry.devices()
    return [joined_view(row).model_dump() | {"address": asked.get(row.key_digest, "")} for row in rows]


def show_joined(members: list[dict[str, object]]) -> None:
    for one in members:
        words = f"{one['state']}, asked from {one['address'] or 'unknown'}, key {one['fingerprint']}"
        typer.echo(f"{one['device']:<24}{one['role']:<12}{words}{'  ' + printable(one['name']) if one['name'] else ''}")


@contextmanager
def opened(home: Path | None) -> Iterator[tuple[EdgeTrust, Operator]]:
    """The authority of a state folder, for a command beside the running edge server."""
    from edge_server.own_id import own_id  # noqa: PLC0415
    from edge_server.trust.operator import Operator  # noqa: PLC0415
    from edge_server.trust.trust import EdgeTrust, TrustOptions  # noqa: PLC0415
    from node.clock import SystemClock  # noqa: PLC0415

    folder = home or find_home()
    settings = load(folder).settings
    options = TrustOptions(
        host=settings.edge.host,
        http_port=settings.edge.port,
        life_days=settings.trust.certificate_days,
        code_minutes=settings.trust.code_minutes,
    )
    trust = EdgeTrust(folder, own_id(settings.device.id, folder), SystemClock(), options, serves=False)
    try:
        yield trust, Operator(trust, f"{getpass.getuser()}@{socket.gethostname()}")
    finally:
        trust.close()


def _request(trust: EdgeTrust, given: str) -> str:
    """The whole number of a waiting request. Raises NotKnown (KF92)."""
    from edge_server.errors import NotKnown  # noqa: PLC0415

    found = [row.id for row in trust.desk.requests() if row.id.startswith(given) or row.device == given]
    if len(found) != 1:
        raise NotKnown(kind="single waiting request", name=given[:63])
    return found[0]


def _show_code(trust: EdgeTrust, made: tuple[str, CodeRow], as_json: bool) -> None:
    text, row = made
    address = trust.address()
    command = f"kinflow join {text} --edge {address}" + (f" --id {row.device}" if row.device else "")
    if as_json:
        shown = {"code": text, "edge": address, "expires_ms": row.expires_ms, "device": row.device, "command": command}
        typer.echo(json.dumps(shown | {"approved": row.approved, "replaces": row.replaces}))
        return
    until = datetime.fromtimestamp(row.expires_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    typer.echo(f"{text}\n\nGood once, until {until}. On the device:\n  {command}")
    if not row.approved:
        typer.echo("Then let it in: `kinflow edge requests`, `kinflow edge approve`, or on the dashboard.")
