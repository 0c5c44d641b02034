"""Nets that SUMO's netgenerate makes in a moment, ordinary and awkward."""

from __future__ import annotations

import subprocess
from pathlib import Path
from xml.etree import ElementTree

from sim_devices.city.net import sumo_home

GRID = ("--grid", "--default-junction-type", "traffic_light", "--grid.attach-length", "150")
NETS: dict[str, tuple[str, ...]] = {
    "one-lane": (*GRID, "--grid.number", "1", "--default.lanenumber", "1"),
    "left-turns": (
        *GRID, "--grid.number", "1", "--default.lanenumber", "2", "--turn-lanes", "1", "--turn-lanes.length", "60",
        "--tls.left-green.time", "8", "--tls.allred.time", "1",
    ),
    "crossings": (
        *GRID, "--grid.number", "1", "--default.lanenumber", "2", "--crossings.guess", "true", "--sidewalks.guess",
        "true", "--tls.crossing-clearance.time", "8",
    ),
    "nema": (*GRID, "--grid.number", "2", "--default.lanenumber", "2", "--tls.default-type", "NEMA"),
    "grouped": (*GRID, "--grid.number", "2", "--tls.group-signals", "true", "--rand.random-lanenumber", "true"),
    "random": (
        "--rand", "--rand.iterations", "30", "--seed", "11", "--rand.min-distance", "20", "--rand.max-distance", "160",
        "--default-junction-type", "traffic_light", "--tls.guess", "true", "--tls.guess.joining", "true", "--tls.join",
        "true", "--tls.join-dist", "60", "--junctions.join", "true", "--junctions.join-dist", "40",
    ),
    "spider": (
        "--spider", "--spider.arm-number", "5", "--spider.circle-number", "2", "--default-junction-type",
        "traffic_light", "--default.lanenumber", "2", "--turn-lanes", "1",
    ),
}  # fmt: skip


def make(name: str, folder: Path) -> Path:
    path = folder / f"{name}.net.xml"
    tool = str(sumo_home() / "bin" / "netgenerate")
    command = [tool, *NETS[name], "--no-turnarounds", "true", "--no-warnings", "true", "--output-file", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return path


def programmes(path: Path) -> dict[str, tuple[tuple[float, str], ...]]:
    """As the file has them."""
    return {
        logic.attrib["id"]: tuple((float(p.attrib["duration"]), p.attrib["state"]) for p in logic.iter("phase"))
        for logic in ElementTree.parse(path).getroot().iter("tlLogic")
    }
