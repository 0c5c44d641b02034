"""`kinflow edge signals`: how far each intersection is given into our hands, and what shadowing it showed."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.home import find_home

if TYPE_CHECKING:
    from edge_server.signals.modes.book import ModeBook
    from protocol.site import Site

app = typer.Typer(help="Modes of the intersections.", no_args_is_help=True)

Home = Annotated[Path | None, typer.Option(help="The state folder; else $KINFLOW_HOME or the usual place.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Place = Annotated[str, typer.Argument(help="The intersection's id.")]


@app.command()
def modes(as_json: AsJson = False, home: Home = None) -> None:
    """List the mode of each intersection, since when, by whom and why."""
    settings = _book(home).all()
    if as_json:
        rows = [
            {
                "intersection": place,
                "mode": one.mode,
                "controller": one.controller,
                "simulated": one.simulated,
                "by": one.by,
                "reason": one.reason,
                "at_ms": one.at_ms,
            }
            for place, one in settings.items()
        ]
        typer.echo(json.dumps({"modes": rows}))
        return
    for place, one in settings.items():
        why = f"{one.by}: {one.reason}" if one.by else "as it started"
        typer.echo(f"{place:<24}{one.mode:<8}{'simulated' if one.simulated else 'real':<11}{why}")


@app.command()
def report(
    hours: Annotated[int, typer.Option(min=1, max=744, help="How far back.")] = 24,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """What real controllers did while they were shadowed, beside what ours would have done. What a running server has
    counted within the last quarter of an hour is not in it."""
    from edge_server.signals.shadow.book import FOLDER, read_rows  # noqa: PLC0415
    from edge_server.signals.shadow.report import HOUR_MS  # noqa: PLC0415
    from edge_server.signals.shadow.report import report as of  # noqa: PLC0415
    from edge_server.signals.shadow.words import text  # noqa: PLC0415

    to_ms = time.time_ns() // 1_000_000
    from_ms = to_ms - hours * HOUR_MS
    found = of(read_rows((home or find_home()) / FOLDER, from_ms), from_ms, to_ms)
    typer.echo(found.model_dump_json() if as_json else text(found))


@app.command(name="raise")
def lift(
    place: Place,
    mode: Annotated[str, typer.Argument(help="shadow, advise or act.")],
    reason: Annotated[str, typer.Option(help="Why; it stands in the audit.")],
    home: Home = None,
) -> None:
    """Raise a mode. An edge server that runs takes it up within a second or two."""
    _change(place, mode, reason, home, upwards=True)


@app.command()
def lower(
    place: Place,
    mode: Annotated[str, typer.Argument(help="off, shadow or advise.")],
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    home: Home = None,
) -> None:
    """Lower a mode. An edge server that runs takes it up within a second or two."""
    _change(place, mode, reason, home, upwards=False)


def _change(place: str, mode: str, reason: str, home: Path | None, *, upwards: bool) -> None:
    from edge_server.accounts.accounts import Accounts  # noqa: PLC0415
    from edge_server.accounts.cli import at_console  # noqa: PLC0415
    from edge_server.accounts.file import FILE_NAME  # noqa: PLC0415
    from edge_server.gateway.auth import load_or_make_token  # noqa: PLC0415
    from edge_server.signals.modes import changing  # noqa: PLC0415
    from edge_server.signals.modes.mode import MODES  # noqa: PLC0415
    from node.clock import SystemClock  # noqa: PLC0415
    from protocol.ids import IntersectionId  # noqa: PLC0415

    wanted = next((one for one in MODES if one == mode), None)
    if wanted is None:
        raise typer.BadParameter(f"{mode!r} is none of {', '.join(MODES)}")
    if upwards and not reason.strip():
        raise typer.BadParameter("say why", param_hint="--reason")
    folder = home or find_home()
    change = changing.lift if upwards else changing.lower
    with closing(Accounts(folder / FILE_NAME, SystemClock(), load_or_make_token(folder))) as accounts:
        change(_book(home), accounts.audit, at_console(), IntersectionId(place), wanted, reason)
    typer.echo(f"{place} is in mode {wanted} now.")


def _book(home: Path | None) -> ModeBook:
    from edge_server.own_id import own_id  # noqa: PLC0415
    from edge_server.signals.modes.book import ModeBook  # noqa: PLC0415
    from node.config.load import load  # noqa: PLC0415

    folder = home or find_home()
    device = own_id(load(folder).settings.device.id, folder)
    return ModeBook(_site(folder), folder, device, lambda: time.time_ns() // 1_000_000)


def _site(folder: Path) -> Site:
    from node.config.load import load  # noqa: PLC0415
    from protocol.site import load_site  # noqa: PLC0415

    named = load(folder).settings.edge.site
    return load_site(Path(named) if named else folder / "site.toml")
