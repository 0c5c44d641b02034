"""`kinflow agent …`, `kinflow watch` and `kinflow calibrate`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import cv2
import typer

from agent.traffic.calibration import parse_points
from agent.watch import Summary
from agent.watch import watch as measure
from node.clock import SystemClock
from protocol.errors import KinflowError

app = typer.Typer(help="The device: watch roads and say how full they are.", no_args_is_help=True)

RoadWidth = Annotated[float, typer.Option("--road-width", help="Across all lanes, in metres.")]
RoadLength = Annotated[float, typer.Option("--road-length", help="From the near to the far points, in metres.")]
Road = Annotated[
    str | None,
    typer.Option("--road", help="Pixels x1,y1,…,x4,y4: near left, near right, far right, far left."),
]
Lanes = Annotated[int, typer.Option("--lanes", min=0, max=12, help="0: counted from the width.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def watch(
    file: Annotated[Path, typer.Argument(help="A video file.")],
    *,
    road_width: RoadWidth,
    road_length: RoadLength,
    road: Road = None,
    lanes: Lanes = 0,
    out: Annotated[Path | None, typer.Option(help="Write an annotated video here (.mp4 or .avi).")] = None,
    series: Annotated[Path | None, typer.Option(help="Write one JSON object a frame here (.jsonl).")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how full the road in a video file is."""
    cv2.setNumThreads(1)
    points = None if road is None else parse_points(road)
    error: KinflowError | None = None
    try:
        summary = measure(
            file,
            road_width,
            road_length,
            SystemClock(),
            points=points,
            lanes=lanes,
            out=out,
            series=series,
            progress=_bar(sys.stderr.isatty()),
        )
    except KinflowError as raised:
        found = raised.fields.get("summary")
        if not isinstance(found, Summary):
            raise
        summary, error = found, raised
    figures = summary.as_json()
    if error is not None:
        figures["error"] = error.code
    if as_json:
        typer.echo(json.dumps(figures))
    else:
        for name, value in figures.items():
            typer.echo(f"{name}: {value}")
    if error is not None:
        raise error


def _bar(visible: bool) -> Callable[[float], None]:
    """A progress bar on standard error, redrawn at most ten times a second."""
    drawn_s = 0.0

    def draw(share: float) -> None:
        nonlocal drawn_s
        now_s = time.monotonic()
        if not visible or (share < 1.0 and now_s - drawn_s < 0.1):
            return
        drawn_s = now_s
        filled = round(30 * share)
        end = "\n" if share >= 1.0 else ""
        sys.stderr.write(f"\r[{'#' * filled}{'.' * (30 - filled)}] {share:4.0%}{end}")
        sys.stderr.flush()

    return draw
