"""`kinflow firmware`: what is dropped onto a boot partition."""

from __future__ import annotations

import json
import os
import sys
import tarfile
import time
from pathlib import Path
from typing import Annotated

import typer

from firmware_configs.board import Board, board, boards
from firmware_configs.boot_files import README, write
from firmware_configs.errors import BundleUnfit, EdgeNameInvalid, JoinCodeMalformed
from firmware_configs.join_code import join_code
from firmware_configs.order import Camera, Order, Tier, edge_name, login_name, ssh_keys
from firmware_configs.wifi import Wifi, wifi
from node.errors import BundleMalformed
from node.home import find_home
from node.update.bundle import MANIFEST, MANIFEST_LIMIT_BYTES, Manifest, digest, read_manifest
from protocol.ids import device_id

app = typer.Typer(help="Boot files for boards that join by themselves.", add_completion=False, no_args_is_help=True)

PASSWORD_VARIABLE = "KINFLOW_WIFI_PASSWORD"  # noqa: S105 (the name of a variable)


@app.callback()
def main() -> None:
    """Boot files for boards that join by themselves."""


@app.command()
def make(
    *,
    board_name: Annotated[str, typer.Option("--board", help="pi5, pi4, zero2w, orin-nano or x86.")],
    out: Annotated[Path, typer.Option("--out", help="A new folder, or a flashed card's boot partition.")],
    edge: Annotated[str, typer.Option("--edge", help="The edge server's name or address.")] = "",
    join: Annotated[str, typer.Option("--join", help="A code of `kinflow edge code`.")] = "",
    device: Annotated[str, typer.Option("--id", help="The device's id on the wire, and its host name.")] = "",
    wifi_name: Annotated[
        str,
        typer.Option("--wifi", help=f"A network's name. Its password: ${PASSWORD_VARIABLE}, standard input, or asked."),
    ] = "",
    country: Annotated[str, typer.Option("--country", help="Whose radio rules hold: CH, GB, US.")] = "",
    ssh_key: Annotated[list[Path] | None, typer.Option("--ssh-key", help="A public key that may log in.")] = None,
    user: Annotated[str, typer.Option("--user", help="Who logs in by that key.")] = "kinflow-admin",
    tier: Annotated[Tier, typer.Option("--tier", help="agent or edge.")] = "agent",
    camera: Annotated[list[str] | None, typer.Option("--camera", help="As `kinflow agent run` takes it.")] = None,
    ca: Annotated[Path | None, typer.Option("--ca", help="The edge's authority; else this machine's own.")] = None,
    bundle: Annotated[Path | None, typer.Option("--bundle", help="Install from this .tar, copied beside.")] = None,
    port: Annotated[int, typer.Option("--edge-port", min=1, max=65535, help="Of the edge server.")] = 8800,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write the boot files of one device."""
    chosen = board(board_name)
    if tier == "agent" and not edge:
        raise EdgeNameInvalid(edge="", detail="an agent needs one to join")
    if tier == "agent" and not join:
        raise JoinCodeMalformed(detail="an agent needs one to join")
    order = Order(
        board=chosen,
        tier=tier,
        made_at_s=int(time.time()),
        edge=edge_name(edge) if edge else "",
        edge_port=port,
        join=join_code(join) if join else "",
        device=device_id(device) if device else None,
        wifi=_wifi(wifi_name, country),
        ssh_keys=ssh_keys(ssh_key or ()),
        user=login_name(user),
        cameras=tuple(Camera(f"camera-{number}", one) for number, one in enumerate(camera or (), start=1)),
        authority=_authority(ca),
        bundle_sha256=_judged(bundle, chosen) if bundle else "",
    )
    written = write(order, out, bundle)
    if as_json:
        figures = {"out": str(out), "board": board_name, "files": list(written.files), "partition": written.partition}
        typer.echo(json.dumps(figures))
        return
    typer.echo(f"Wrote {', '.join(written.files)} to {out}.")
    if written.partition:
        typer.echo("The card is ready: unmount it and put it into the board.")
    else:
        typer.echo(f"{out / README} says which file goes where.")


@app.command("boards")
def list_boards() -> None:
    """List the boards that there are."""
    for name, one in boards().items():
        typer.echo(f"{name:<12}{one.title}: {one.image}")


def _wifi(name: str, country: str) -> Wifi | None:
    return wifi(name, _password(), country.upper()) if name else None


def _password() -> str:
    """Never an argument: every user of a machine may read those."""
    given = os.environ.get(PASSWORD_VARIABLE)
    if given is not None:
        return given
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("Password of the Wi-Fi", hide_input=True))


def _authority(path: Path | None) -> str:
    """The CA's certificate: what --ca names, else that of an edge server on this machine."""
    chosen = path or find_home() / "authority" / "ca.pem"
    if path is None and not chosen.is_file():
        return ""
    text = chosen.read_text("ascii")
    if "PRIVATE KEY" in text or "BEGIN CERTIFICATE" not in text:
        raise BundleUnfit(path=chosen, detail="it is no certificate of an authority", architecture="...")
    return text


def _judged(path: Path, chosen: Board) -> str:
    """The bundle's hash, when it is for this board. Raises BundleUnfit (KF236)."""
    try:
        manifest = _manifest(path)
    except (OSError, tarfile.TarError, BundleMalformed) as error:
        raise BundleUnfit(path=path, detail=f"it can't be read ({error})", architecture=chosen.architecture) from error
    if manifest.arch != chosen.architecture:
        raise BundleUnfit(path=path, detail=f"it is for {manifest.arch}", architecture=chosen.architecture)
    return digest(path)


def _manifest(path: Path) -> Manifest:
    with tarfile.open(path) as tar:
        first = tar.next()
        stream = tar.extractfile(first) if first is not None and first.name.endswith(f"/{MANIFEST}") else None
        if stream is None:
            raise BundleMalformed(path=path, detail=f"it does not begin with {MANIFEST}")
        return read_manifest(stream.read(MANIFEST_LIMIT_BYTES + 1), path)
