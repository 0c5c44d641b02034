"""The detectors of one device: each model is opened once, however many cameras use it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from agent.emergency.evidence import EMERGENCY_LABELS
from agent.emergency.model import EmergencyModel
from agent.errors import DetectorUnusable
from models.vision.detector import Detector
from models.vision.requires import require
from node.hardware.guard import ensure_loads
from protocol.errors import KinflowError

AUTO, SHIPPED, OFF = "auto", "shipped", "off"
# The tracker keeps tracks alive by what a detector is not sure of.
LEAST_SCORE = 0.1
_RUNTIME = "onnxruntime"

log = logging.getLogger(__name__)


class Detectors:
    """Used by the looking thread. auto: what "auto" stands for on this device, "shipped" or "off".

    A model that could not be opened stays so until the process starts again.
    """

    def __init__(self, home: Path | None, auto: str = OFF, opening: Callable[[Path | None], Detector] | None = None):
        self._auto = auto
        self._opening = opening or (lambda path: _open(path, home))
        self._opened: dict[str, Detector | KinflowError] = {}

    def of(self, setting: str) -> Detector | None:
        """setting: "auto", "shipped", "off" or the path of a model. None where nothing is to be detected.

        Raises what opening a detector raises (KF105 to KF108), ProcessorLacks (KF188), LibraryIllegal (KF189) and
        DetectorUnusable (KF253).
        """
        wanted = self._auto if setting == AUTO else setting
        if wanted == OFF:
            return None
        if wanted not in self._opened:
            try:
                self._opened[wanted] = self._opening(None if wanted == SHIPPED else Path(wanted))
            except KinflowError as error:
                self._opened[wanted] = error
        found = self._opened[wanted]
        if isinstance(found, KinflowError):
            raise found
        return found


def emergency_model(detector: Detector) -> EmergencyModel:
    """What judges emergency vehicles by what this detector finds. Raises LabelsLacking (KF108) where it knows none."""
    require(detector, "knowing emergency vehicles", EMERGENCY_LABELS)
    return EmergencyModel(detector.thresholds, detector.synthetic_only)


def ships_detector() -> bool:
    """Whether this version comes with a detector."""
    return (files("models.vision") / "weights" / "road.onnx").is_file()


def _open(path: Path | None, home: Path | None) -> Detector:
    if _RUNTIME not in ensure_loads([_RUNTIME], home=home):
        raise DetectorUnusable(model=path or "shipped", detail="onnxruntime is not installed")
    # Loading the library costs 40 MB and half a second, which a device without a detector does not pay.
    from models.vision.opening import open_detector  # noqa: PLC0415

    detector = open_detector(path, least_score=LEAST_SCORE)
    require(detector, "following vehicles", ("car",))
    return detector
