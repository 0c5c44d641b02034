"""One camera as it was set up, and the file that its calibration is kept in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent.camera.opening import PICTURE_PX
from agent.detection.detectors import AUTO, OFF
from agent.errors import CameraFileUnreadable
from agent.traffic.calibration import Calibration, Points, calibrate, propose
from protocol.ids import ApproachId, CameraId, slug

DEFAULT_WIDTH_M, DEFAULT_LENGTH_M = 7.0, 40.0


@dataclass(frozen=True)
class CameraSettings:
    """points: None where nobody has said where the road lies; a saved calibration (see CameraFile) beats them all.
    picture_px: width and height to ask a camera of this machine for. detector: "auto" (what this device carries),
    "shipped", "off" or a model's path, which looks at each detect_every-th picture at most. real_thumbnails: the page
    may show small pictures, not drawings alone. sound: "off", "microphone", "microphone:DEVICE" or a WAV file, which is
    listened to for sirens."""

    camera: CameraId
    source: str
    approach: ApproachId
    road_width_m: float | None = None
    visible_length_m: float | None = None
    points: Points | None = None
    lanes: int = 0
    picture_px: tuple[int, int] = PICTURE_PX
    detector: str = AUTO
    detect_every: int = 1
    real_thumbnails: bool = False
    sound: str = OFF

    def calibration(self, picture: tuple[int, int]) -> Calibration:
        """What the settings alone say. Raises KF64 to KF67."""
        width_m, length_m = self.road_width_m or DEFAULT_WIDTH_M, self.visible_length_m or DEFAULT_LENGTH_M
        if self.points is None:
            return propose(width_m, length_m, picture, self.lanes)
        sized = self.road_width_m is not None and self.visible_length_m is not None
        return calibrate(self.points, width_m, length_m, picture, lanes=self.lanes, calibrated=sized)


class _Saved(msgspec.Struct, forbid_unknown_fields=True):
    points: tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]
    picture: tuple[int, int]
    road_width_m: float
    visible_length_m: float
    lanes: int


class CameraFile:
    """$KINFLOW_HOME/cameras/<camera>.toml: what a person clicked. Written atomically; read again when it changes."""

    def __init__(self, home: Path, camera: CameraId) -> None:
        self.path = home / "cameras" / f"{slug(camera, 'camera id')}.toml"

    def stamp(self) -> int:
        """Changes whenever the file does; 0 without one."""
        try:
            return self.path.stat().st_mtime_ns
        except OSError:
            return 0

    def load(self) -> Calibration | None:
        """None when there is no file. Raises CameraFileUnreadable (KF69)."""
        try:
            saved = msgspec.toml.decode(self.path.read_bytes(), type=_Saved)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CameraFileUnreadable(path=self.path, detail=str(error)[:200]) from error
        return calibrate(
            saved.points, saved.road_width_m, saved.visible_length_m, saved.picture, lanes=max(0, saved.lanes)
        )

    def save(self, calibration: Calibration) -> None:
        points = ", ".join(f"[{x:.1f}, {y:.1f}]" for x, y in calibration.points)
        text = (
            "# Written by Kinflow's calibration page. Pixels: near left, near right, far right, far left.\n"
            f"points = [{points}]\n"
            f"picture = [{calibration.picture[0]}, {calibration.picture[1]}]\n"
            f"road_width_m = {float(calibration.road_width_m)!r}\n"
            f"visible_length_m = {float(calibration.visible_length_m)!r}\n"
            f"lanes = {calibration.lanes}\n"
        )
        write_atomically(self.path, text.encode())


def write_atomically(path: Path, data: bytes) -> None:
    """Readers see the old file or the new one, whatever happens in between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
