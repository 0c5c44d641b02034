"""What a camera has learnt of its empty road, kept across restarts."""

from __future__ import annotations

import hashlib
import io
import logging
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from agent.settings import write_atomically
from agent.traffic.calibration import Calibration
from agent.traffic.empty_road import BINS, EmptyRoad
from protocol.ids import CameraId

# All that damaged bytes can make of an archive: cut short, of a version or a method that is not there, "encrypted".
DAMAGES = (
    OSError,
    ValueError,
    LookupError,
    EOFError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)

log = logging.getLogger(__name__)


class RoadFile:
    """$KINFLOW_HOME/cameras/<camera>.road.npz: some tens of kilobytes, written rarely. It belongs to one calibration:
    under another one it is not used. A damaged file is the same as none."""

    def __init__(self, home: Path, camera: CameraId) -> None:
        self._path = home / "cameras" / f"{camera}.road.npz"

    def load(self, calibration: Calibration) -> EmptyRoad | None:
        try:
            with np.load(io.BytesIO(self._path.read_bytes()), allow_pickle=False) as data:
                if bytes(data["calibration"]) != _fingerprint(calibration):
                    return None
                stored = data["seconds"]
                if stored.dtype.kind != "f":
                    return None
                seconds = stored.astype(np.float32)
        except FileNotFoundError:
            return None
        except DAMAGES as error:
            log.warning("%s is damaged and not used: %s", self._path.name, error)
            return None
        if seconds.ndim != 3 or seconds.shape[2] != BINS or not np.isfinite(seconds).all() or (seconds < 0).any():
            return None
        return EmptyRoad(seconds)

    def save(self, calibration: Calibration, road: EmptyRoad) -> None:
        buffer = io.BytesIO()
        fingerprint = np.frombuffer(_fingerprint(calibration), np.uint8)
        np.savez_compressed(buffer, calibration=fingerprint, seconds=road.seconds.astype(np.float16))
        try:
            write_atomically(self._path, buffer.getvalue())
        except OSError as error:
            log.warning("%s could not be written: %s", self._path.name, error)

    def forget(self) -> None:
        self._path.unlink(missing_ok=True)


def _fingerprint(calibration: Calibration) -> bytes:
    sizes = (calibration.road_width_m, calibration.visible_length_m, calibration.lanes, calibration.picture)
    return hashlib.sha256(repr((calibration.points, sizes)).encode()).digest()
