"""`kinflow bundle`: all that a machine needs, to carry there."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from firmware_configs.bundle.make import Order, make
from firmware_configs.bundle.target import TARGETS
from node.home import find_home
from node.update.bundle import digest

TIERS = ("agent", "edge", "cloud")
# Debian 12 and Raspberry Pi OS Bookworm, Ubuntu 24.04, Debian 13 and Raspberry Pi OS Trixie.
PYTHONS = ("3.11", "3.12", "3.13")


def bundle(
    *,
    arch: Annotated[str, typer.Option("--arch", help="The machine that it is for: arm64 or x86_64.")],
    tier: Annotated[
        list[str] | None, typer.Option("--tier", help="agent, edge or cloud; may be repeated. All unless given.")
    ] = None,
    python: Annotated[
        list[str] | None, typer.Option("--python", help="A Python there, such as 3.11; may be repeated. 3.11 to 3.13.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The folder to write into, a USB stick's for example.")] = Path(),
    models: Annotated[Path | None, typer.Option(help="Models to take along; else those of the state folder.")] = None,
    maps: Annotated[Path | None, typer.Option(help="Maps to take along; else those of the state folder.")] = None,
    llama: Annotated[bool, typer.Option(help="Take llama.cpp along; it is compiled once and kept.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Make a bundle: wheels, models, maps and the installer for one kind of machine. Needs the network and a clone."""
    tiers, pythons = tuple(tier or TIERS), tuple(python or PYTHONS)
    if arch not in TARGETS:
        raise typer.BadParameter(f"{arch!r} is not one of {', '.join(TARGETS)}.", param_hint="--arch")
    if wrong := [one for one in tiers if one not in TIERS]:
        raise typer.BadParameter(f"{wrong[0]!r} is not one of {', '.join(TIERS)}.", param_hint="--tier")
    if wrong := [one for one in pythons if not _is_python(one)]:
        raise typer.BadParameter(f"{wrong[0]!r} is not a Python from 3.11 on.", param_hint="--python")
    home = find_home()
    order = Order(
        target=TARGETS[arch],
        tree=Path(__file__).resolve().parent.parent.parent,
        tiers=tiers,
        pythons=pythons,
        created_s=int(time.time()),
        llama=llama,
        models=models or _if_there(home / "models"),
        maps=maps or _if_there(home / "maps"),
    )
    began_s = time.monotonic()
    tar, manifest = make(order, out, lambda text: typer.echo(text, err=True))
    figures = {
        "path": str(tar.with_suffix("")),
        "tar": str(tar),
        "sbom": str(tar.with_suffix("")) + ".cdx.json",
        "sha256": digest(tar),
        "version": manifest.version,
        "arch": manifest.arch,
        "python": list(manifest.python),
        "files": len(manifest.files),
        "size_mb": round(manifest.size / 1e6, 1),
        "took_s": round(time.monotonic() - began_s, 1),
    }
    if as_json:
        typer.echo(json.dumps(figures))
        return
    for name, value in figures.items():
        typer.echo(f"{name}: {', '.join(value) if isinstance(value, list) else value}")


def _is_python(text: str) -> bool:
    major, _, minor = text.partition(".")
    return major == "3" and minor.isdecimal() and 11 <= int(minor) < 100


def _if_there(folder: Path) -> Path | None:
    return folder if folder.is_dir() and any(folder.iterdir()) else None
