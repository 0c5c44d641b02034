"""Make the city's street network with SUMO's netconvert, once for each layout."""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import astuple
from pathlib import Path
from xml.sax.saxutils import quoteattr

from sim_devices.city.layout import TURNS, Arm, CityLayout
from sim_devices.errors import CityBuildFailed, SumoMissing

# Rises when the files made here change, so that a cached network of an older Kinflow is not taken.
GENERATION = 1
NET_FILE = "city.net.xml"


def sumo_home() -> Path:
    """The folder of the installed SUMO. Raises SumoMissing (KF95)."""
    try:
        return Path(importlib.import_module("sumo").SUMO_HOME)
    except ImportError as error:
        raise SumoMissing(detail=str(error)) from error


def prepare_net(layout: CityLayout, home: Path) -> Path:
    """The network file for `layout` below `home`/sim, made when it isn't there yet. Raises SumoMissing (KF95) or
    CityBuildFailed (KF96)."""
    tool = sumo_home() / "bin" / "netconvert"
    name = hashlib.sha256(repr((GENERATION, astuple(layout))).encode()).hexdigest()[:12]
    folder = home / "sim" / name
    if (folder / NET_FILE).is_file():
        return folder / NET_FILE
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder.parent))
    try:
        _convert(tool, layout, work, folder)
        if not (folder / NET_FILE).is_file():
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder / NET_FILE


def _convert(tool: Path, layout: CityLayout, work: Path, folder: Path) -> None:
    arms = layout.arms()
    (work / "city.nod.xml").write_text(_nodes(layout, arms), "utf-8")
    (work / "city.edg.xml").write_text(_edges(layout, arms), "utf-8")
    (work / "city.con.xml").write_text(_connections(layout, arms), "utf-8")
    command = [
        str(tool), "--node-files", "city.nod.xml", "--edge-files", "city.edg.xml", "--connection-files", "city.con.xml",
        "--output-file", NET_FILE, "--offset.disable-normalization", "true", "--no-turnarounds", "true",
        "--junctions.corner-detail", "5", "--default.lanewidth", str(layout.lane_width_m), "--no-warnings", "true",
    ]  # fmt: skip
    environment = {**os.environ, "SUMO_HOME": str(tool.parent.parent)}
    try:
        done = subprocess.run(
            command, cwd=work, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CityBuildFailed(detail=str(error)[:300], folder=folder) from error
    if done.returncode or not (work / NET_FILE).is_file():
        raise CityBuildFailed(
            detail=done.stderr.strip()[:300] or f"netconvert ended with {done.returncode}", folder=folder
        )


def _element(name: str, **attributes: object) -> str:
    return (
        f"  <{name} "
        + " ".join(f"{key.rstrip('_')}={quoteattr(str(value))}" for key, value in attributes.items())
        + "/>"
    )


def _file(root: str, lines: list[str]) -> str:
    return "\n".join([f"<{root}>", *lines, f"</{root}>", ""])


def _nodes(layout: CityLayout, arms: list[Arm]) -> str:
    lines = [_element("node", id=name, x=x, y=y, type="traffic_light") for name, (x, y) in layout.junctions().items()]
    lines += [
        _element("node", id=f"{a.approach}-end", x=a.outer[0], y=a.outer[1], type="dead_end") for a in arms if a.at_edge
    ]
    return _file("nodes", lines)


def _edges(layout: CityLayout, arms: list[Arm]) -> str:
    outer = {arm.leaving: arm.junction for arm in arms}
    lines = []
    for arm in arms:
        begin = f"{arm.approach}-end" if arm.at_edge else outer[arm.approach]
        speed = layout.speed_mps
        lines.append(
            _element("edge", id=arm.approach, from_=begin, to=arm.junction, numLanes=layout.lanes_in, speed=speed)
        )
        if arm.at_edge:
            lines.append(
                _element("edge", id=arm.leaving, from_=arm.junction, to=begin, numLanes=layout.lanes_out, speed=speed)
            )
    return _file("edges", lines)


def _connections(layout: CityLayout, arms: list[Arm]) -> str:
    leaving = {(arm.junction, arm.side): arm.leaving for arm in arms}
    lines = []
    for arm in arms:
        for lane, turns in enumerate(layout.turns):
            for turn in turns:
                to = leaving[arm.junction, TURNS[arm.side][turn]]
                to_lane = min(lane, layout.lanes_out - 1)
                lines.append(_element("connection", from_=arm.approach, to=to, fromLane=lane, toLane=to_lane))
    return _file("connections", lines)
