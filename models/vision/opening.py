"""Open a detector: the one that comes with Kinflow, or a person's own network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.errors import LayoutUnknown, ModelUnfit
from models.vision.detector import Label
from models.vision.layout import layout as layout_of
from models.vision.layout import recognised, slugs
from models.vision.manifest import Manifest, beside
from models.vision.names import BY_COUNT, COCO_80, label_of
from models.vision.onnx_detector import OnnxDetector
from models.vision.onnx_model import OnnxModel, Signature
from models.vision.suppression import OVERLAP

SHIPPED = Path(__file__).with_name("weights") / "road.onnx"
# Where no manifest says from which score on something counts as found.
USUAL_THRESHOLD = 0.3


def open_detector(
    path: Path | None = None,
    *,
    layout: str | None = None,
    names: Sequence[str] | None = None,
    least_score: float | None = None,
    threads: int = 1,
) -> OnnxDetector:
    """The detector of an ONNX file, ready and warm; None opens the one that comes with Kinflow.

    layout: one of `layout.slugs()`; default: what the manifest beside the file says, or what its inputs and outputs
    show. names: of its classes, in the order of its outputs; default: the manifest's, else COCO's where there are 80 or
    91. Classes whose names mean none of our labels (`names.label_of`) are left out. least_score: what detect() gives at
    least; default: the smallest threshold.
    Raises ModelUnreadable (KF105), LayoutUnknown (KF106), ModelUnfit (KF107).
    """
    path = SHIPPED if path is None else path
    manifest = beside(path)
    model = OnnxModel(path, threads, manifest.input if manifest is not None else None)
    slug = _layout(path, model.signature, layout or (manifest.layout if manifest is not None else ""))
    kind = layout_of(slug)
    told = _names(path, kind.classes(model.signature), names or (manifest.labels if manifest is not None else None))
    found = [(column, label) for column, label in enumerate(map(label_of, told)) if label is not None]
    if not found:
        raise ModelUnfit(path=path, detail="none of its classes is one that Kinflow looks for")
    labels = tuple(label for _, label in found)
    reader = kind.reader(model.signature, np.array([column for column, _ in found], np.intp))
    thresholds = _thresholds(labels, manifest)
    return OnnxDetector(
        model,
        reader,
        labels,
        name=manifest.name if manifest is not None else path.stem,
        thresholds=thresholds,
        synthetic_only=_meant(manifest.synthetic_only) if manifest is not None else frozenset(),
        least_score=min(thresholds.values()) if least_score is None else least_score,
        overlap=manifest.overlap if manifest is not None else OVERLAP,
    )


def _layout(path: Path, signature: Signature, wanted: str) -> str:
    known = slugs()
    fit = recognised(signature)
    if wanted:
        if wanted not in known:
            raise ModelUnfit(path=path, detail=f"there is no layout {wanted!r}; there are {', '.join(known)}")
        if wanted not in fit:
            raise ModelUnfit(path=path, detail=f"it is not of the layout {wanted}: it {_told(signature)}")
        return wanted
    if len(fit) > 1:
        raise ModelUnfit(path=path, detail=f"it may be of each of the layouts {', '.join(fit)}: name one")
    if not fit:
        raise LayoutUnknown(
            path=path, inputs=_list(signature.inputs), outputs=_list(signature.outputs), known=", ".join(known)
        )
    return fit[0]


def _names(path: Path, count: int | None, given: Sequence[str] | None) -> Sequence[str]:
    if given is None:
        if count is None:
            return COCO_80
        if count not in BY_COUNT:
            raise ModelUnfit(path=path, detail=f"it tells {count} classes apart, and nothing names them")
        return BY_COUNT[count]
    if count is not None and len(given) != count:
        raise ModelUnfit(path=path, detail=f"it tells {count} classes apart, and {len(given)} names are given")
    return given


def _thresholds(labels: Sequence[Label], manifest: Manifest | None) -> dict[Label, float]:
    given = {label_of(name): value for name, value in (manifest.thresholds if manifest is not None else {}).items()}
    return {label: given.get(label, USUAL_THRESHOLD) for label in labels}


def _meant(names: Sequence[str]) -> frozenset[Label]:
    return frozenset(label for label in map(label_of, names) if label is not None)


def _told(signature: Signature) -> str:
    return f"takes {_list(signature.inputs)} and gives {_list(signature.outputs)}"


def _list(tensors: Sequence[object]) -> str:
    return ", ".join(map(str, tensors))
