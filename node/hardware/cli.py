"""`kinflow hardware`: what this machine is, and what it can carry."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
import typer

from node.config.load import load
from node.hardware.fit import Profile, fit
from node.hardware.found import Hardware
from node.hardware.probe import probe
from node.home import find_home


def hardware(
    *,
    require: Annotated[
        list[str] | None, typer.Option("--require", help="End with KF193 when this does not run here: detector-m.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look at this machine, and say what it can carry."""
    found = probe()
    profile = fit(found, load(find_home()).settings.hardware)
    if as_json:
        typer.echo(json.dumps(as_dict(found, profile)))
    else:
        for name, value in _lines(found, profile):
            typer.echo(f"{name + ':':<14}{value}")
    for one in require or ():
        profile.require(one)


def as_dict(found: Hardware, profile: Profile) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins({"hardware": found, "profile": profile}, order="deterministic")
    told["profile"]["refused"] = [{"what": one.what, "lacks": one.lacks} for one in profile.refused]
    return told


def _lines(found: Hardware, profile: Profile) -> list[tuple[str, str]]:
    processor, memory, hottest = found.processor, found.memory, found.hottest
    heat = f"{hottest.now_c:.0f} °C ({hottest.name})" if hottest else "not told"
    held = ", ".join(found.throttling.now) or (
        f"not now; since boot: {', '.join(found.throttling.since_boot)}" if found.throttling.since_boot else "no"
    )
    return [
        ("board", found.board.model or "unknown"),
        ("processor", f"{processor.model or processor.architecture}, {processor.cores} cores"),
        ("memory", f"{memory.usable_mb} MB, {memory.available_mb} MB free"),
        ("disk", f"{found.disk.kind} {found.disk.device}".strip()),
        ("temperature", heat),
        ("throttled", held if found.throttling.known else "not told"),
        ("watchdog", _watchdog(found)),
        *[("camera", f"{one.name} ({one.source})") for one in found.cameras],
        ("profile", f"{profile.name}: {profile.title}"),
        ("threads", str(profile.threads)),
        ("detector", profile.detector or "none fits"),
        ("member", profile.member or "none fits"),
        ("resolution", "{} x {}".format(*profile.camera)),
        ("memory limit", f"{profile.unit_memory_mb} MB for the service"),
        ("accelerator", profile.accelerator or "none"),
        *[("", one) for one in profile.notes],
        *[("not here", f"{one.text}.") for one in profile.refused],
    ]


def _watchdog(found: Hardware) -> str:
    if found.watchdog is None:
        return "none"
    state = {True: "fed", False: "not fed", None: "not told"}[found.watchdog.active]
    return f"{found.watchdog.identity or found.watchdog.device}, {state}"
