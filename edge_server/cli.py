"""`kinflow edge`: run the edge server, and ask its store."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import msgspec
import typer

from edge_server.accounts import cli as accounts_cli
from edge_server.backup import cli as backup_cli
from edge_server.cabinet import cli as cabinet_cli
from edge_server.neighbours import cli as neighbours_cli
from edge_server.own_id import own_id
from edge_server.pair import cli as pair_cli
from edge_server.signals import cli as signals_cli
from edge_server.signals.preemption import cli as preemption_cli
from edge_server.trust.cli import add_commands, joined, show_joined
from node.config.load import load
from node.config.schema import Edge, Settings
from node.home import find_home
from node.printable import printable
from node.stopping import on_stop_signals
from protocol.ids import DeviceId, SiteId
from protocol.site import Site, load_site

if TYPE_CHECKING:
    from edge_server.server import EdgeOptions
    from edge_server.store.reader import StoreReader

app = typer.Typer(help="Gather, decide, steer and show.", add_completion=False, no_args_is_help=True)
app.add_typer(accounts_cli.user, name="user")
app.add_typer(accounts_cli.token, name="token")
app.add_typer(backup_cli.app, name="backup")
app.command(name="restore")(backup_cli.bring_back)
app.add_typer(pair_cli.app, name="pair")
app.command()(neighbours_cli.neighbour)
app.add_typer(signals_cli.app, name="signals")
app.add_typer(preemption_cli.vehicle, name="vehicle")
app.add_typer(preemption_cli.preemption, name="preemption")
app.add_typer(cabinet_cli.app, name="controller")

DATABASE = "edge.db"
SITE = "site.toml"

Home = Annotated[Path | None, typer.Option(help="The state folder; else $KINFLOW_HOME or the usual place.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Limit = Annotated[int, typer.Option(help="How many at most.")]


@app.command()
def run(  # noqa: PLR0917 (a command's options)
    host: Annotated[str | None, typer.Option(help="Where the dashboard listens; loopback unless set.")] = None,
    port: Annotated[int | None, typer.Option(help="Its port, 8800 unless set.")] = None,
    site: Annotated[Path | None, typer.Option(help="The site file; else site.toml in the state folder.")] = None,
    broker: Annotated[str | None, typer.Option(help="A broker that runs already: mqtt(s)://user@host.")] = None,
    embed: Annotated[str | None, typer.Option(help="The broker to start otherwise: auto, mosquitto, amqtt.")] = None,
    broker_port: Annotated[int | None, typer.Option(help="The port of a broker of our own.")] = None,
    prefix: Annotated[str | None, typer.Option(help="The first part of every topic.")] = None,
    name: Annotated[str | None, typer.Option("--id", help="This edge server's id on the wire.")] = None,
    home: Home = None,
) -> None:
    """Run until Ctrl-C, SIGTERM or SIGHUP."""
    from edge_server.server import EdgeServer  # noqa: PLC0415 (the other commands need none of it)
    from node.logs import configure_logs  # noqa: PLC0415

    folder = home or find_home()
    flags = {
        "edge.host": host,
        "edge.port": port,
        "edge.site": str(site) if site else None,
        "broker.url": broker,
        "broker.kind": embed,
        "broker.port": broker_port,
        "broker.prefix": prefix,
        "device.id": name,
        # Naming a host on the command line is asking for it.
        "edge.allow_lan": True if host else None,
    }
    settings = load(folder, flags=flags).settings
    configure_logs("edge", folder, settings.log.level)
    stopping = threading.Event()
    on_stop_signals(stopping.set)
    EdgeServer(_options(folder, settings)).run(stopping)


@app.command(name="install-line")
def install_line(
    code: Annotated[str, typer.Option(help="A join code; `kinflow edge code` makes one.")] = "CODE",
    host: Annotated[str | None, typer.Option(help="How devices call this machine; else its first address.")] = None,
    home: Home = None,
) -> None:
    """Print the one line that installs a device from this edge server, with the key that it pins."""
    from edge_server.beacon import lan_addresses  # noqa: PLC0415
    from edge_server.bundles.one_line import line, pin  # noqa: PLC0415
    from node.errors import NotServedYet  # noqa: PLC0415

    folder = home or find_home()
    try:
        pinned = pin(folder / "authority" / "server.pem")
    except (OSError, ValueError) as error:
        raise NotServedYet(detail=str(error)) from error
    typer.echo(
        line(host or next(iter(lan_addresses()), socket.gethostname()), load(folder).settings.edge.port, pinned, code)
    )


@app.command(name="join-cloud")
def join_cloud(
    code: Annotated[str, typer.Argument(help="Of `kinflow cloud code`, or its link.")],
    cloud: Annotated[str, typer.Option("--cloud", help="HOST or HOST:PORT; a link names it itself.")] = "",
    home: Home = None,
) -> None:
    """Report counts and versions to a cloud from now on. A server that runs begins by itself."""
    from edge_server.cloud_link.joining import join_cloud as join  # noqa: PLC0415

    folder = home or find_home()
    joined = join(folder, own_id(load(folder).settings.device.id, folder), code, cloud)
    typer.echo(f"This edge server reports to {joined}.")


@app.command()
def routes(
    markdown: Annotated[bool, typer.Option("--markdown", help="As docs/routes.md.")] = False,
    as_json: AsJson = False,
) -> None:
    """List every route of the gateway, and what it needs."""
    from edge_server.gateway.bare import bare_gateway  # noqa: PLC0415
    from edge_server.gateway.route_table import markdown as page  # noqa: PLC0415

    table = bare_gateway(_version()).routes
    if markdown:
        typer.echo(page(table), nl=False)
    elif as_json:
        typer.echo(json.dumps({"routes": [asdict(line) for line in table.lines()]}))
    else:
        for line in table.lines():
            typer.echo(f"{line.needs or 'undeclared':<10}{line.method:<7}{line.path}")


@app.command()
def alarms(
    active: Annotated[bool, typer.Option("--active", help="Only those that stand.")] = False,
    limit: Limit = 50,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """List alarms, the newest first."""
    rows = _reader(home).alarms(limit, active=active or None)
    if as_json:
        typer.echo(json.dumps({"alarms": msgspec.to_builtins(rows)}))
        return
    for row in rows:
        state = "raised " if row.active else "cleared"
        typer.echo(
            f"{_time(row.received_ms)}  {state}  {row.severity:<8}  {row.source}  {row.alarm}: {printable(row.text)}"
        )


@app.command()
def declare(  # noqa: PLR0917 (a command's options)
    agent: Annotated[str, typer.Argument(help="The agent's id.")],
    approach: Annotated[str, typer.Argument(help="One that it watches.")],
    vehicle: Annotated[str, typer.Option(help="ambulance, police_car, fire_engine or unknown.")] = "ambulance",
    seconds: Annotated[int, typer.Option(min=1, max=30, help="How long it holds; declare again to go on.")] = 20,
    end: Annotated[bool, typer.Option("--end", help="End what was declared there.")] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Tell an agent that a vehicle, verified by you, comes by an approach with its beacons on."""
    from edge_server.declaring import Wanted, broker_of  # noqa: PLC0415
    from edge_server.declaring import declare as bring  # noqa: PLC0415
    from node.clock import SystemClock  # noqa: PLC0415
    from protocol.ids import ApproachId, device_id, slug  # noqa: PLC0415
    from protocol.messages.observation import EmergencyKind  # noqa: PLC0415

    if vehicle not in get_args(EmergencyKind):
        raise typer.BadParameter(f"{vehicle!r} is none of {', '.join(get_args(EmergencyKind))}", param_hint="--vehicle")
    folder = home or find_home()
    settings = load(folder).settings
    wanted = Wanted(
        device_id(agent),
        ApproachId(slug(approach, "approach")),
        cast(EmergencyKind, vehicle),
        0 if end else seconds * 1000,
    )
    edge = own_id(settings.device.id, folder)
    state = bring(broker_of(folder, settings.broker), settings.broker.prefix, edge, wanted, SystemClock())
    if as_json:
        typer.echo(json.dumps({"agent": agent, "approach": approach, "valid_ms": wanted.valid_ms, "emergency": state}))
    else:
        typer.echo(f"{agent} now says of {approach}: {state}.")


@app.command()
def devices(as_json: AsJson = False, home: Home = None) -> None:
    """List the devices as the store last knew them, and those that have joined."""
    rows = _reader(home).devices() if _has_store(home) else []
    members = joined(home)
    if as_json:
        typer.echo(json.dumps({"devices": msgspec.to_builtins(rows), "joined": members}))
        return
    for row in rows:
        typer.echo(f"{row.device:<24}{row.role:<12}{row.state:<9}{_time(row.heard_ms)}  {printable(row.software)}")
    show_joined(members)


add_commands(app)


def _options(home: Path, settings: Settings) -> EdgeOptions:
    from edge_server.server import EdgeOptions  # noqa: PLC0415
    from edge_server.store.retention import Limits  # noqa: PLC0415
    from edge_server.store.room import Marks  # noqa: PLC0415
    from models.escalation.served import served_of  # noqa: PLC0415
    from node.broker.address import parse_broker  # noqa: PLC0415

    edge, days = settings.edge, float(settings.edge.retention_days)
    path = Path(edge.site) if edge.site else home / SITE
    device = own_id(settings.device.id, home)
    return EdgeOptions(
        home=home,
        database=_database(home, settings),
        device=device,
        version=_version(),
        site=load_site(path) if edge.site or path.exists() else Site(id=SiteId("site")),
        site_path=str(path),
        host=edge.host,
        port=edge.port,
        hosts=_names(device, edge),
        broker=parse_broker(settings.broker.url) if settings.broker.url else None,
        embed=settings.broker.kind,
        broker_port=settings.broker.port,
        mqtts_port=settings.broker.tls_port,
        certificate_days=settings.trust.certificate_days,
        code_minutes=settings.trust.code_minutes,
        prefix=settings.broker.prefix,
        home_assistant=settings.home_assistant.prefix if settings.home_assistant.enabled else "",
        update_source=settings.update.source,
        serve_bytes_s=settings.update.serve_kbytes_s * 1000,
        limits=Limits(
            observations_days=days,
            events_days=days,
            signal_log_days=max(days, Limits.signal_log_days),
            gaps_days=days,
            size_mb=edge.max_store_gb * 1000,
        ),
        marks=Marks(low_mb=edge.low_disk_mb),
        backup=settings.backup,
        power=settings.power,
        serving=served_of(home, settings.serving, "edge"),
        passphrase=_passphrase(home, settings),
    )


def _passphrase(home: Path, settings: Settings) -> Callable[[], str | None]:
    """Of the assistant's diary. Nobody is asked: a server has no terminal."""
    from models.assistant.here import read_key  # noqa: PLC0415

    file = settings.assistant.key_file
    return (lambda: read_key(Path(file), home)) if file else (lambda: None)


def _names(device: DeviceId, edge: Edge) -> frozenset[str]:
    """By which people and devices may call this server, besides the address that they connect to."""
    from edge_server.beacon import lan_addresses  # noqa: PLC0415

    host = socket.gethostname()
    return frozenset({host, f"{host}.local", f"{device}.local", edge.host, *edge.hosts, *lan_addresses()})


def _has_store(home: Path | None) -> bool:
    folder = home or find_home()
    return _database(folder, load(folder).settings).exists()


def _reader(home: Path | None) -> StoreReader:
    from edge_server.store.reader import StoreReader  # noqa: PLC0415

    folder = home or find_home()
    path = _database(folder, load(folder).settings)
    if not path.exists():
        typer.echo(f"There is no store at {path} yet: start `kinflow edge run` first.", err=True)
        raise typer.Exit(1)
    return StoreReader(path)


def _database(home: Path, settings: Settings) -> Path:
    return Path(settings.edge.database) if settings.edge.database else home / DATABASE


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _version() -> str:
    try:
        return version("kinflow")
    except PackageNotFoundError:
        return "0"
