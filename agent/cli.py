"""`kinflow agent …`, `kinflow watch` and `kinflow calibrate`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import cv2
import typer

from agent.detection.detectors import AUTO, SHIPPED, Detectors, ships_detector
from agent.options import (
    AgentOptions,
    CameraFlags,
    broker_of,
    cameras_from_flags,
    cameras_from_settings,
    credentials_of,
    own_id,
)
from agent.page.alone import serve_calibration
from agent.page.server import TOKEN_FILE
from agent.run import run_agent
from agent.traffic.calibration import parse_points
from agent.watch import Summary
from agent.watch import watch as measure
from models.vision.detector import Detector
from node.clock import SystemClock
from node.config.load import load
from node.hardware.here import detector_here, picture_here
from node.home import find_home
from node.logs import configure_logs
from node.token_file import load_or_make_token
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


@app.callback()
def main() -> None:
    """The device: watch roads and say how full they are."""


@app.command()
def run(
    *,
    camera: Annotated[
        list[str] | None, typer.Option("--camera", help="A file, rtsp://…, http://…, /dev/videoN or picamera:N.")
    ] = None,
    camera_id: Annotated[list[str] | None, typer.Option("--camera-id", help="Its name; once for each camera.")] = None,
    approach: Annotated[list[str] | None, typer.Option("--approach", help="The approach that it watches.")] = None,
    road_width: Annotated[list[float] | None, typer.Option("--road-width", help="In metres.")] = None,
    road_length: Annotated[list[float] | None, typer.Option("--road-length", help="In metres.")] = None,
    road: Annotated[
        list[str] | None,
        typer.Option("--road", help="Pixels x1,y1,…,x4,y4: near left, near right, far right, far left."),
    ] = None,
    lanes: Annotated[list[int] | None, typer.Option("--lanes", help="0: counted from the width.")] = None,
    detector: Annotated[
        list[str] | None,
        typer.Option("--detector", help="auto, shipped, off, or a model's path; once for all cameras or for each."),
    ] = None,
    detect_every: Annotated[
        list[int] | None, typer.Option("--detect-every", min=1, max=100, help="Detect in each n-th picture at most.")
    ] = None,
    sound: Annotated[
        list[str] | None,
        typer.Option("--sound", help="Listen for sirens: microphone[:DEVICE] or a WAV file; once for each camera."),
    ] = None,
    broker: Annotated[str | None, typer.Option(help="mqtt(s)://user:password@host:port")] = None,
    prefix: Annotated[str | None, typer.Option(help="The first part of every topic.")] = None,
    device: Annotated[str | None, typer.Option("--id", help="This device's id on the wire.")] = None,
    config: Annotated[Path | None, typer.Option(help="Another kinflow.toml.")] = None,
    home: Annotated[Path | None, typer.Option(help="The state folder; else $KINFLOW_HOME or the usual place.")] = None,
    port: Annotated[int | None, typer.Option(help="Of this device's own page, on loopback; 0: a free one.")] = None,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Serve the device's own page.")] = True,
    fast: Annotated[bool, typer.Option("--fast", help="Read files as fast as they can be looked at.")] = False,
) -> None:
    """Watch cameras until Ctrl-C or SIGTERM."""
    folder = home or find_home()
    # 0 is no port that a file may name: only here it means any free one.
    flags = {"broker.url": broker, "broker.prefix": prefix, "device.id": device, "agent.port": port or None}
    settings = load(folder, flags=flags, file=config).settings
    given = CameraFlags(
        camera, camera_id, approach, road_width, road_length, road, lanes, detector, detect_every, sound
    )
    cameras = cameras_from_flags(given) if camera else cameras_from_settings(settings)
    picture = picture_here(settings.hardware)
    cameras = tuple(replace(one, picture_px=picture) for one in cameras)
    configure_logs("agent", folder, settings.log.level)
    automatic = any(one.detector == AUTO for one in cameras)
    carries = automatic and ships_detector() and detector_here(settings.hardware)
    credentials = credentials_of(settings, folder)
    run_agent(
        AgentOptions(
            home=folder,
            cameras=cameras,
            device=credentials.device if credentials is not None else own_id(settings.device.id),
            credentials=credentials,
            name=settings.device.name or (credentials.joined.name if credentials is not None else ""),
            broker=broker_of(settings, folder),
            prefix=settings.broker.prefix,
            page_port=None if not page else (0 if port == 0 else settings.agent.port),
            fast=fast,
            carries=carries,
        )
    )


@app.command()
def page(
    config: Annotated[Path | None, typer.Option(help="Another kinflow.toml.")] = None,
    home: Annotated[Path | None, typer.Option(help="The state folder; else $KINFLOW_HOME or the usual place.")] = None,
) -> None:
    """Print the address of this device's own page, with the token that lets you in."""
    folder = home or find_home()
    port = load(folder, file=config).settings.agent.port
    typer.echo(f"http://127.0.0.1:{port}/#{load_or_make_token(folder / TOKEN_FILE)}")


def calibrate(
    *,
    camera: Annotated[str, typer.Option("--camera", help="A file, rtsp://…, http://…, /dev/videoN or picamera:N.")],
    camera_id: Annotated[str | None, typer.Option("--id", help="The camera's name, as the agent knows it.")] = None,
    road_width: Annotated[float | None, typer.Option("--road-width", help="To begin with, in metres.")] = None,
    road_length: Annotated[float | None, typer.Option("--road-length", help="To begin with, in metres.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="On loopback; 0: a free one.")] = 8801,
    home: Annotated[Path | None, typer.Option(help="The state folder; else $KINFLOW_HOME or the usual place.")] = None,
) -> None:
    """Mark a road in a camera's picture, in the browser."""
    cv2.setNumThreads(1)
    ids = [camera_id] if camera_id else None
    widths = [road_width] if road_width is not None else None
    lengths = [road_length] if road_length is not None else None
    (settings,) = cameras_from_flags(CameraFlags([camera], ids, None, widths, lengths))
    serve_calibration(settings, home or find_home(), port, lambda address: typer.echo(f"Open {address}"))


def watch(
    file: Annotated[Path, typer.Argument(help="A video file.")],
    *,
    road_width: RoadWidth,
    road_length: RoadLength,
    road: Road = None,
    lanes: Lanes = 0,
    out: Annotated[Path | None, typer.Option(help="Write an annotated video here (.mp4 or .avi).")] = None,
    series: Annotated[Path | None, typer.Option(help="Write one JSON object a frame here (.jsonl).")] = None,
    detector: Annotated[
        bool | None, typer.Option("--detector/--no-detector", help="Find and follow vehicles; else where it can.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="An ONNX model of yours instead of the shipped one.")] = None,
    detect_every: Annotated[int, typer.Option("--detect-every", min=1, max=100, help="In each n-th picture.")] = 1,
    reference_model: Annotated[
        Path | None,
        typer.Option("--reference-model", help="Compare with this ONNX model's boxes, which enter no figure."),
    ] = None,
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
            detector=_detector(detector, model),
            every=detect_every,
            reference=None if reference_model is None else Detectors(find_home()).of(str(reference_model)),
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


def _detector(wanted: bool | None, model: Path | None) -> Detector | None:
    """What `watch` looks with. Unless one was asked for, it does without a detector that this machine can't run."""
    if wanted is False or (wanted is None and model is None and not ships_detector()):
        return None
    detectors = Detectors(find_home())
    if wanted is None and model is None:
        try:
            return detectors.of(SHIPPED)
        except KinflowError as error:
            typer.echo(f"Without a detector: {error}", err=True)
            return None
    return detectors.of(SHIPPED if model is None else str(model))


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
