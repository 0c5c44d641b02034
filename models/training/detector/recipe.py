"""From folders of pictures to a trained network: every stage keeps what it made, and a second call goes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from models.training.detector import augment, composites, data, export, teacher, thresholds
from models.training.detector.composites import CutOut
from models.training.detector.data import Image, Source
from models.training.detector.lessons import Lesson, Lessons
from models.training.detector.liveries import police_car
from models.training.detector.network import Network
from models.training.detector.targets import Targets
from models.vision.detector import LABELS, Label
from models.vision.opening import open_detector

RENDERED = 2400
# Of each source, to judge thresholds by.
MOST_JUDGED = 200
LEAST_SCORE = 0.05
WANTED_CUTS: dict[Label, int] = {"ambulance": 140, "car": 70, "bus": 40, "truck": 50}


def prepare(folder: Path, work: Path) -> None:
    """The renderer's pictures and the clip's frames. The renderer stands above this package: it is run as a program."""
    if not (work / "rendered" / "done").exists():
        command = [sys.executable, "-m", "sim_devices.render.dataset", str(work / "rendered"), "--count", str(RENDERED)]
        subprocess.run(command, check=True)
        (work / "rendered" / "done").touch()
    if not (work / "car-park" / "images").exists():
        data.unpack_clip(folder / "traffic" / "clips" / "car-park-exit.mp4", work / "car-park" / "images")


def lessons(folder: Path, work: Path, weights: Path, seed: int) -> Lessons:
    """Everything that may be learned from; what is held out is not in it."""
    guide = teacher.Teacher(weights)
    taught: dict[Source, list[Lesson]] = {}
    for source in data.sources(folder, work):
        taught[source] = [
            Lesson(picture, teacher.teach(guide, picture, work / "targets"))
            for picture in data.pictures(source)
            if not picture.held_out
        ]
    return Lessons(taught, _cuts(folder, work, list(taught)), seed)


def held_out(folder: Path, work: Path, weights: Path) -> Iterator[tuple[frozenset[Label], Image, Targets]]:
    """The pictures that were kept for judging, with what their set labels: as they are, and photographs in fog too."""
    guide = teacher.Teacher(weights)
    for source in data.sources(folder, work):
        if source.names is None:
            continue
        kept = [one for one in data.pictures(source) if one.held_out][:MOST_JUDGED]
        random = np.random.default_rng(0xF06)
        for one in kept:
            image, targets = one.load(), teacher.teach(guide, one, work / "targets")
            yield frozenset(source.names), image, targets
            if not source.complete:
                yield (frozenset(source.names), *augment.fog(image, targets, random))


def ship(network: Network, folder: Path, work: Path, weights: Path) -> dict[Label, float]:
    """Write road.onnx and road.toml, with a threshold for each label."""
    path = work / "road.onnx"
    export.export(network, path)
    path.with_suffix(".toml").unlink(missing_ok=True)
    detector = open_detector(path, layout="yolox", names=LABELS, least_score=LEAST_SCORE)
    found: dict[frozenset[Label], list[thresholds.Case]] = {}
    for labelled, image, targets in held_out(folder, work, weights):
        found.setdefault(labelled, []).append((detector.detect(image), targets))
    chosen = thresholds.choose(found)
    path.with_suffix(".toml").write_text(export.manifest(path, chosen))
    return chosen


def _cuts(folder: Path, work: Path, sources: list[Source]) -> list[CutOut]:
    """Cut-outs, kept as pictures with transparency."""
    kept = work / "cut-outs"
    if not (kept / "done").exists():
        real = [one for source in sources if source.names and not source.complete for one in data.pictures(source)]
        cuts = composites.cut_outs((one for one in real if not one.held_out), WANTED_CUTS)
        cuts += composites.police_cut_outs(folder / "emergency" / "police_crops" / "emergency_vehicle")
        kept.mkdir(parents=True, exist_ok=True)
        for number, cut in enumerate(cuts):
            cv2.imwrite(str(kept / f"{number:04d}-{cut.label}.png"), np.dstack([cut.image, cut.mask]))
        (kept / "done").touch()
    stored = [_stored(path) for path in sorted(kept.glob("*.png"))]
    random = np.random.default_rng(0x9011CE)
    cars = [one for one in stored if one.label == "car"][::2]
    return stored + [police_car(car, random) for car in cars]


def _stored(path: Path) -> CutOut:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise ValueError(f"{path} is not a picture")
    label = next(one for one in LABELS if one == path.stem.split("-", 1)[1])
    return CutOut(label, picture[..., :3].copy(), picture[..., 3].copy())
