"""`kinflow join`: this device joins an edge server by a one-time code."""

from __future__ import annotations

import json
import re
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from node.config.load import load
from node.errors import EdgeNotReached, EdgeRefused
from node.home import find_home
from protocol.ids import DeviceId, device_id

if TYPE_CHECKING:
    from node.trust.join_code import JoinCode

LOOK_S = 4.0

Way = Literal["agent", "controller", "vehicle", "edge"]


def join(
    *,
    code: Annotated[str, typer.Argument(help="As the edge server shows it; or the text of its QR.")],
    edge: Annotated[str | None, typer.Option(help="HOST[:PORT] of the edge server; else it is looked for.")] = None,
    name: Annotated[str | None, typer.Option("--id", help="This device's id; else as set, else made up.")] = None,
    role: Annotated[Way, typer.Option(help="What this device is.")] = "agent",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until a person there has agreed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    home: Annotated[Path | None, typer.Option(help="The state folder; else $KINFLOW_HOME or the usual place.")] = None,
) -> None:
    """Join an edge server by a one-time code that it shows. Asked again, it goes on where it stood."""
    from node.trust.asking import split_address  # noqa: PLC0415
    from node.trust.join_code import read_link  # noqa: PLC0415
    from node.trust.joining import Joining, Progress  # noqa: PLC0415

    folder = home or find_home()
    pinned, said = read_link(code)
    address = edge or said
    host, port = split_address(address) if address else _found(pinned)
    configured = name or load(folder).settings.device.id
    joining = Joining(folder, pinned, host, port, device_id(configured) if configured else _own_id(role), role)

    def told(progress: Progress) -> None:
        print(f"The fingerprint of this device's key: {progress.fingerprint}", file=sys.stderr)
        if progress.state == "pending":
            print("A person has to agree on the edge server now.", file=sys.stderr)

    if wait:
        progress = joining.wait(told)
    else:
        progress = joining.ask()
        told(progress)
    if progress.state == "refused":
        raise EdgeRefused(
            refusal="refused", detail="A person there said no to this device.", remedy="Ask for a new code."
        )
    joined = progress.credentials
    if as_json:
        shown = {"state": progress.state, "device": joining.device, "fingerprint": progress.fingerprint}
        typer.echo(json.dumps(shown | {"edge": joined.edge if joined is not None else None}))
    elif joined is not None:
        typer.echo(f"{joined.device} has joined {joined.edge}. Start it: `kinflow agent run`.")
    else:
        typer.echo("It waits for approval. Run the same command again to go on, or with --wait to wait here.")


def _found(pinned: JoinCode) -> tuple[str, int]:
    """The edge server on the network that made the code, whatever others call themselves."""
    from node.discovery import find_edges, open_zeroconf  # noqa: PLC0415
    from node.trust.joining import reachable  # noqa: PLC0415

    zeroconf = open_zeroconf()
    try:
        found = find_edges(zeroconf, LOOK_S)
    finally:
        zeroconf.close()
    for one in found:
        if reachable(one.host, one.http_port, pinned):
            return one.host, one.http_port
    detail = f"{len(found)} were found, and none of them made this code" if found else "none was found"
    raise EdgeNotReached(host="the local network", detail=f"{detail}; name it with --edge")


def _own_id(role: str) -> DeviceId:
    host = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")
    return device_id(f"{role}-{host}"[:63].strip("-"))
