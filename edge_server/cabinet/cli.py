"""`kinflow edge controller`: look at a signal controller, watch it, and stand before it as its gateway."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.config.load import load
from node.home import find_home
from node.printable import printable
from node.stopping import on_stop_signals
from protocol.cabinet import Cabinet as Described
from protocol.errors import SiteUnsafe
from protocol.site import Intersection, Site, load_site
from protocol.site_check import faults

if TYPE_CHECKING:
    from edge_server.cabinet.port import Reading

app = typer.Typer(help="Signal controllers that speak NTCIP: check, watch, run.", no_args_is_help=True)

Place = Annotated[str, typer.Argument(help="The intersection, as site.toml calls it.")]
SiteFile = Annotated[Path | None, typer.Option("--site", help="The site file; else the edge server's.")]
Home = Annotated[Path | None, typer.Option(help="The state folder; else $KINFLOW_HOME or the usual place.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
WATCH_S = 0.25


@app.command()
def check(place: Place, site: SiteFile = None, as_json: AsJson = False, home: Home = None) -> None:
    """Ask a controller who it is and whether it fits the site file. Reads alone; nothing is written.

    Ends with KF471 when its backup time forbids to act, and with KF472 when it does not fit the site file."""
    from edge_server.cabinet.making import reached  # noqa: PLC0415
    from edge_server.cabinet.ntcip.survey import backup_fault, survey  # noqa: PLC0415
    from edge_server.errors import CabinetBackupUnusable, CabinetMismatch  # noqa: PLC0415

    folder = home or find_home()
    intersection, described = _described(_site(site, folder), place)
    _warn(intersection, described)
    snmp = reached(intersection, described, folder)
    try:
        found = survey(snmp, intersection, described)
    finally:
        snmp.close()
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "intersection": place,
                    "address": snmp.address,
                    "ok": found.fault is None,
                    "acts": described.acts,
                    "controller": dict(found.facts),
                    "findings": [asdict(one) for one in found.findings],
                }
            )
        )
    else:
        for name, value in found.facts.items():
            typer.echo(f"{name:<22}{printable(str(value))}")
        for one in found.findings:
            typer.echo(f"{one.severity:<6}{one.where}: {one.text}")
        typer.echo("Nothing was written." if described.acts else "Nothing was written, and is not: acts = false.")
    if found.fault is None:
        return
    seconds = found.facts["unitBackupTime_s"]
    backup = backup_fault(seconds, described.backup_most_s)
    if described.acts and backup is not None:
        raise CabinetBackupUnusable(address=snmp.address, seconds=seconds, detail=backup)
    raise CabinetMismatch(intersection=place, detail=found.fault)


@app.command()
def watch(
    place: Place,
    seconds: Annotated[float, typer.Option(min=0, help="For how long; 0 until Ctrl-C.")] = 0.0,
    site: SiteFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    home: Home = None,
) -> None:
    """Print what a controller shows each time that it changes. Reads alone; nothing is written."""
    from edge_server.cabinet.making import reached  # noqa: PLC0415
    from edge_server.cabinet.ntcip.cabinet import NtcipCabinet  # noqa: PLC0415
    from node.clock import SystemClock  # noqa: PLC0415

    folder = home or find_home()
    intersection, described = _described(_site(site, folder), place)
    _warn(intersection, described)
    stopping = threading.Event()
    on_stop_signals(stopping.set)
    cabinet = NtcipCabinet(intersection, described, reached(intersection, described, folder), SystemClock())
    ends = time.monotonic() + seconds
    told: Reading | None = None
    try:
        while not stopping.is_set() and (not seconds or time.monotonic() < ends):
            reading = cabinet.look()
            if reading != told:
                typer.echo(_line(reading, as_json=as_json))
                told = reading
            stopping.wait(WATCH_S)
    finally:
        cabinet.close()


@app.command()
def run(
    places: Annotated[list[str] | None, typer.Argument(help="Intersections; without one, all with a cabinet.")] = None,
    site: SiteFile = None,
    broker: Annotated[str | None, typer.Option(help="A broker that runs already: mqtt(s)://user@host.")] = None,
    home: Home = None,
) -> None:
    """Stand before controllers as their gateway, until Ctrl-C or SIGTERM. The edge server steers them through it."""
    from edge_server.cabinet.epoch_file import EpochFile  # noqa: PLC0415
    from edge_server.cabinet.making import cabinet_of, connection, recording  # noqa: PLC0415
    from edge_server.cabinet.ntcip.security import FOLDER  # noqa: PLC0415
    from edge_server.cabinet.runner import CabinetGateway  # noqa: PLC0415
    from edge_server.signals.modes.mode import is_simulated  # noqa: PLC0415
    from node.broker.address import parse_broker  # noqa: PLC0415
    from node.clock import SystemClock  # noqa: PLC0415
    from node.file_lock import hold_state  # noqa: PLC0415
    from node.logs import configure_logs  # noqa: PLC0415

    folder = home or find_home()
    settings = load(folder, flags={"broker.url": broker}).settings
    configure_logs("controllers", folder, settings.log.level)
    wanted = _site(site, folder)
    _refuse_faults(wanted, site)
    named = places or [str(one.id) for one in wanted.intersections if one.cabinet is not None]
    if not named:
        raise typer.BadParameter("no intersection of the site file has a cabinet")
    address = parse_broker(settings.broker.url) if settings.broker.url else None
    connect = connection(folder, settings.broker, address)
    clock = SystemClock()
    stopping = threading.Event()
    on_stop_signals(stopping.set)
    with ExitStack() as running:
        for place in named:
            intersection, described = _described(wanted, place)
            _warn(intersection, described)
            state = folder / FOLDER / intersection.controller
            running.enter_context(hold_state(state))
            gateway = CabinetGateway(
                intersection,
                cabinet_of(intersection, described, folder, clock),
                connect,
                clock,
                EpochFile(state.with_suffix(".epoch")),
                prefix=settings.broker.prefix,
                simulated=is_simulated(intersection, wanted),
                heard=recording(folder, wanted, clock) if not described.acts else lambda _: None,
            )
            running.callback(gateway.stop)
            gateway.start()
        _say(f"Gateway of {', '.join(named)}. Ctrl-C lets the controllers go.")
        stopping.wait()


def _site(site: Path | None, folder: Path) -> Site:
    settings = load(folder).settings
    return load_site(site or (Path(settings.edge.site) if settings.edge.site else folder / "site.toml"))


def _described(site: Site, place: str) -> tuple[Intersection, Described]:
    intersection = next((one for one in site.intersections if one.id == place), None)
    if intersection is None:
        known = ", ".join(one.id for one in site.intersections)
        raise typer.BadParameter(f"the site file has no intersection {place!r}, only: {known}")
    if intersection.cabinet is None:
        raise typer.BadParameter(f"the site file describes no cabinet of {place!r}: see docs/ntcip.md")
    return intersection, intersection.cabinet


def _refuse_faults(site: Site, path: Path | None) -> None:
    found = faults(site)
    if found:
        detail = f"{found[0].where}: {found[0].text}"
        raise SiteUnsafe(path=path or "site.toml", count=len(found), detail=detail)


def _warn(intersection: Intersection, described: Described) -> None:
    """What was forced is said each time."""
    from edge_server.cabinet.ntcip.security import Security, weakness_of  # noqa: PLC0415

    weakness = weakness_of(Security(described.version, described.authentication, described.privacy))
    if described.insecure:
        _say(
            f"WARNING: {intersection.id} is INSECURE: it is spoken to {weakness or 'whatever its community is'}. "
            "Anybody on that network can move these signals. Never outside a bench."
        )


def _line(reading: Reading, *, as_json: bool) -> str:
    at = datetime.now(UTC)
    if as_json:
        return json.dumps(
            {
                "at": at.isoformat(timespec="milliseconds"),
                "phases": {str(phase): aspect for phase, aspect in sorted(reading.aspects.items())},
                "calls": sorted(reading.calls),
                "flash": reading.flash,
                "unfit": reading.unfit,
                "control": reading.running,
            }
        )
    lit = ", ".join(f"{phase} {aspect}" for phase, aspect in sorted(reading.aspects.items()) if aspect != "red")
    calls = f"  called: {', '.join(map(str, sorted(reading.calls)))}" if reading.calls else ""
    trouble = (
        f"  FLASH: {reading.flash}" if reading.flash else f"  would not act: {reading.unfit}" if reading.unfit else ""
    )
    return f"{at:%H:%M:%S.%f}"[:-3] + f"  {reading.running:<14}{lit or 'all red'}{calls}{trouble}"


def _say(text: str) -> None:
    typer.echo(text, err=True)
