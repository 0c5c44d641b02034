"""`kinflow edge neighbour`: what another site's file has to say of this one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from node.home import find_home

Home = Annotated[Path | None, typer.Option(help="The state folder; else $KINFLOW_HOME or the usual place.")]


def neighbour(
    site: Annotated[Path, typer.Option(help="This site's file, for its id.")] = Path("site.toml"),
    home: Home = None,
) -> None:
    """Print the lines that name this site in a neighbour's site file, so that routes are handed over both ways."""
    from edge_server.beacon import lan_addresses  # noqa: PLC0415
    from edge_server.trust.cli import opened  # noqa: PLC0415
    from node.config.load import load  # noqa: PLC0415
    from protocol.site import load_site  # noqa: PLC0415

    folder = home or find_home()
    name, port = load_site(site).id, load(folder).settings.edge.port
    with opened(home) as (trust, _):
        pin = trust.authority.pin.hex()
    hosts = tuple(lan_addresses()) or ("127.0.0.1",)
    typer.echo("[[neighbours]]")
    typer.echo(f"site = {json.dumps(name)}")
    typer.echo(f"hosts = {json.dumps(list(hosts))}")
    typer.echo(f"http_port = {port}")
    typer.echo(f"pin = {json.dumps(pin)}")
    typer.echo("exits = []   # the ids there that lanes lead `to` and that lead here")
