"""`kinflow cloud`: run the cloud tier, and say which edge servers may report to it."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from node.clock import SystemClock
from node.config.load import load
from node.home import find_home
from node.printable import printable
from node.trust.desk import CODE_MINUTES
from protocol.ids import DeviceId, device_id

if TYPE_CHECKING:
    from cloud.trust import CloudTrust

app = typer.Typer(help="The tier above edge servers.", add_completion=False, no_args_is_help=True)

Home = Annotated[Path | None, typer.Option(help="The state folder; else $KINFLOW_HOME or the usual place.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
EdgeId = Annotated[str, typer.Argument(metavar="EDGE", help="An edge server's id.")]


@app.command()
def run(
    *,
    host: Annotated[
        str | None, typer.Option(help="Where edges reach it by HTTPS; this machine alone unless set.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="8802 unless set.")] = None,
    releases: Annotated[Path | None, typer.Option(help="A folder of signed releases for edges to mirror.")] = None,
    home: Home = None,
) -> None:
    """Run until Ctrl-C or SIGTERM."""
    from cloud.server import CloudOptions, CloudServer  # noqa: PLC0415 (the other commands need none of it)
    from models.escalation.served import served_of  # noqa: PLC0415
    from node.logs import configure_logs  # noqa: PLC0415

    folder = home or find_home()
    flags = {
        "cloud.host": host,
        "cloud.port": port,
        "cloud.releases": str(releases) if releases else None,
        # Naming a host on the command line is asking for it.
        "cloud.allow_lan": True if host else None,
    }
    settings = load(folder, flags=flags).settings
    configure_logs("cloud", folder, settings.log.level)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    CloudServer(
        CloudOptions(
            home=folder,
            cloud=_own_id(settings.device.id),
            version=_version(),
            host=settings.cloud.host,
            port=settings.cloud.port,
            names=frozenset(settings.cloud.hosts),
            releases=Path(settings.cloud.releases) if settings.cloud.releases else None,
            serving=served_of(folder, settings.serving, "cloud"),
        )
    ).run(stopping)


@app.command()
def code(
    *,
    edge: Annotated[str, typer.Option("--edge", help="The only edge server that it is good for.")] = "",
    minutes: Annotated[float, typer.Option(min=1, max=43_200, help="How long it is good.")] = CODE_MINUTES,
    replace: Annotated[bool, typer.Option("--replace", help="It takes the place of the edge of that id.")] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Make a code that lets one edge server in."""
    with _trust(home) as trust:
        made = trust.make_code(minutes, device_id(edge) if edge else "", replace)
    typer.echo(json.dumps({"code": made, "minutes": minutes}) if as_json else made)


@app.command()
def edges(as_json: AsJson = False, home: Home = None) -> None:
    """List the edge servers, with the latest that each has said."""
    from cloud.edge_view import view  # noqa: PLC0415
    from cloud.store import FILE_NAME, CloudStore  # noqa: PLC0415

    store = CloudStore((home or find_home()) / FILE_NAME)
    try:
        now_ms = SystemClock().wall_ms()
        found = [view(row, now_ms) for row in store.edges()]
    finally:
        store.close()
    if as_json:
        typer.echo(msgspec.json.encode({"edges": found}).decode())
        return
    for one in found:
        heard = datetime.fromtimestamp(one.heard_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if one.heard_ms else "-"
        devices = f"{one.devices_online} of {one.devices_total} online"
        typer.echo(f"{one.edge:<24}{one.state:<11}{heard:<22}{devices:<18}{printable(one.software)}")


@app.command()
def revoke(edge: EdgeId, home: Home = None) -> None:
    """Put an edge server out, from this moment on."""
    from cloud.errors import CloudUnknown  # noqa: PLC0415

    with _trust(home) as trust:
        if not trust.revoke(device_id(edge)):
            raise CloudUnknown(what=f"edge {edge!r}")
    typer.echo(f"{edge} is revoked.")


@app.command()
def page(home: Home = None) -> None:
    """Print the address of the page, with the token that lets you in."""
    from cloud.server import TOKEN_FILE  # noqa: PLC0415
    from node.token_file import load_or_make_token  # noqa: PLC0415

    folder = home or find_home()
    port = load(folder).settings.cloud.port
    typer.echo(f"http://127.0.0.1:{port}/#{load_or_make_token(folder / TOKEN_FILE)}")


@contextmanager
def _trust(home: Path | None) -> Iterator[CloudTrust]:
    """The authority in the state folder, also while a server uses it."""
    from cloud.store import FILE_NAME, CloudStore  # noqa: PLC0415
    from cloud.trust import CloudTrust  # noqa: PLC0415

    folder = home or find_home()
    store = CloudStore(folder / FILE_NAME)
    trust = CloudTrust(folder, _own_id(load(folder).settings.device.id), SystemClock(), store)
    try:
        yield trust
    finally:
        trust.close()
        store.close()


def _own_id(configured: str) -> DeviceId:
    """An edge server may run on the same machine: the cloud's own id begins with `cloud`."""
    if configured.startswith("cloud"):
        return device_id(configured)
    name = configured or re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")
    return device_id(f"cloud-{name}"[:63].strip("-"))


def _version() -> str:
    try:
        return version("kinflow")
    except PackageNotFoundError:
        return "0"
