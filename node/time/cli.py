"""`kinflow time`: who knows the time, and whether the clock follows."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from node.config.load import load
from node.home import find_home
from node.time import kernel
from node.time.choose import choose
from node.time.clock_setting import settle
from node.time.gather import Heard, gather
from node.time.standing import words

app = typer.Typer(help="Who knows the time, and whether the clock follows.", add_completion=False, no_args_is_help=True)

Home = Annotated[Path | None, typer.Option(help="The state folder; else $KINFLOW_HOME or the usual place.")]


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def _ask(home: Path) -> Heard:
    return gather(home, load(home).settings.time)


@app.command()
def show(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False, home: Home = None
) -> None:
    """Ask everybody who may know the time, and tell whose counts. Sets nothing."""
    heard = _ask(home or find_home())
    verdict = choose(heard.readings, _wall_ms())
    if as_json:
        told = {
            "chosen": msgspec.to_builtins(verdict),
            "readings": msgspec.to_builtins(heard.readings),
            "faults": [{"code": one.code, "cause": one.cause_text} for one in heard.faults],
        }
        typer.echo(json.dumps(told))
        return
    for one in heard.readings:
        typer.echo(f"{one.source:<6}{one.offset_ms / 1000:+9.1f} s, to within {one.error_ms / 1000:g} s")
    for fault in heard.faults:
        typer.echo(f"      {fault}")
    typer.echo(words(verdict))


@app.command(name="set")
def set_clock(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and do nothing.")] = False,
    home: Home = None,
) -> None:
    """Step the clock to GPS or the edge server, once after each start, where time.set_clock allows it; later only tell
    how far it is off. Needs the right to set the clock."""
    folder = home or find_home()
    heard: list[Heard] = []

    def ask() -> Heard:
        heard.append(_ask(folder))
        return heard[-1]

    outcome = settle(
        folder,
        ask,
        allowed=load(folder).settings.time.set_clock,
        setter=None if dry_run else kernel.set_system_clock,
        wall_ms=_wall_ms,
    )
    for fault in heard[-1].faults:
        typer.echo(str(fault), err=True)
    typer.echo(words(outcome.verdict))
    if outcome.stepped_ms:
        verb = "would be" if dry_run else "was"
        typer.echo(f"The clock {verb} stepped by {outcome.stepped_ms / 1000:+.1f} s.")
    elif outcome.earlier_ms:
        typer.echo(f"The clock was stepped by {outcome.earlier_ms / 1000:+.1f} s since this machine's start.")
    elif not load(folder).settings.time.set_clock:
        typer.echo("time.set_clock is off: the clock is left as it is.")
