"""`kinflow site`: judge a site file before any signal is steered by it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from protocol.errors import SiteUnsafe
from protocol.site import load_site
from protocol.site_check import check as findings_of

app = typer.Typer(help="Judge a site file.", add_completion=False, no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Judge a site file."""


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A site.toml.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Tell every fault and every hint at once. Ends with 16 when there is a fault, with 15 when it can't be read."""
    site = load_site(file)
    findings = findings_of(site)
    faults = [one for one in findings if one.severity == "fault"]
    if as_json:
        typer.echo(json.dumps({"ok": not faults, "findings": [asdict(one) for one in findings]}))
    else:
        for one in findings:
            typer.echo(f"{one.severity:<6}{one.where}: {one.text}")
        count = len(site.intersections)
        typer.echo(f"{count} intersections, {len(site.approaches())} approaches, {len(faults)} faults.")
    return SiteUnsafe.number if faults else 0
