"""`kinflow edge pair`: make two edge servers one pair, see how it stands, part them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.home import find_home

app = typer.Typer(help="Two edge servers for one site.", add_completion=False, no_args_is_help=True)

Home = Annotated[Path | None, typer.Option(help="The state folder; else $KINFLOW_HOME or the usual place.")]
INVITED_MINUTES = 30.0


@app.command()
def invite(
    second: Annotated[str, typer.Argument(help="The id of the second edge server: `kinflow edge pair show` there.")],
    minutes: Annotated[float, typer.Option(min=1.0, max=1_440.0, help="How long the code is good.")] = INVITED_MINUTES,
    home: Home = None,
) -> None:
    """On the first edge server: make the one-time code with which the second one joins. It is worth the site's root
    key, so type it, and send it by no mail."""
    from edge_server.trust.cli import opened  # noqa: PLC0415
    from protocol.ids import device_id  # noqa: PLC0415

    with opened(home) as (trust, operator):
        text, _ = trust.desk.make_code(
            minutes, device=device_id(second), role="edge", approved=True, actor=operator.actor
        )
        typer.echo(f"{text}\n\nGood once, for {minutes:g} minutes. On the second edge server:")
        typer.echo(f"  kinflow edge pair join {text} --edge {trust.address()}")
        typer.echo("Then start both again.")


@app.command()
def join(
    code: Annotated[str, typer.Argument(help="Made by `kinflow edge pair invite` on the first one.")],
    edge: Annotated[str, typer.Option("--edge", help="The first one's HOST[:PORT].")],
    host: Annotated[
        str | None, typer.Option(help="By which the first one reaches this machine; found if left out.")
    ] = None,
    home: Home = None,
) -> None:
    """On the second edge server, while it is stopped: take over the site, its accounts and its authority."""
    from edge_server.beacon import lan_addresses  # noqa: PLC0415
    from edge_server.own_id import own_id  # noqa: PLC0415
    from edge_server.pair.joining import join_pair  # noqa: PLC0415
    from edge_server.pair.wire import JoinPair  # noqa: PLC0415
    from node.config.load import load  # noqa: PLC0415

    folder = home or find_home()
    settings = load(folder).settings
    hosts = (host,) if host else tuple(lan_addresses()) or ("127.0.0.1",)
    ask = JoinPair(hosts=hosts, mqtts_port=settings.broker.tls_port, http_port=settings.edge.port)
    peer = join_pair(folder, code, edge, own_id(settings.device.id, folder), ask)
    typer.echo(f"This is the second edge server beside {peer.edge} now. Start both again.")


@app.command()
def show(home: Home = None) -> None:
    """Tell this edge server's id, and whom it is paired with."""
    from edge_server.own_id import own_id  # noqa: PLC0415
    from edge_server.pair.peer import load_peer  # noqa: PLC0415
    from node.config.load import load  # noqa: PLC0415

    folder = home or find_home()
    peer = load_peer(folder)
    typer.echo(f"This one is {own_id(load(folder).settings.device.id, folder)}.")
    if peer is None:
        typer.echo("It is alone.")
        return
    other = "second" if peer.rank == "first" else "first"
    typer.echo(f"It is the {peer.rank} of a pair; the {other} is {peer.edge} at {', '.join(peer.hosts)}.")


@app.command()
def part(home: Home = None) -> None:
    """Forget the other one. Revoke it too if it left the house: it holds the site's root key."""
    from edge_server.pair.peer import FILE  # noqa: PLC0415

    ((home or find_home()) / FILE).unlink(missing_ok=True)
    typer.echo("This edge server is alone from its next start on.")
