"""What training has to know of a detector: its size, its classes' names, and how it writes boxes down."""

from __future__ import annotations

from pathlib import Path

from models.errors import LossUnfit
from models.tuning.data.yolo import Network
from models.vision.layout import recognised
from models.vision.layouts.yolox import classes, is_decoded
from models.vision.manifest import beside
from models.vision.names import BY_COUNT
from models.vision.onnx_model import OnnxModel


def network_of(model: Path) -> Network:
    """By the manifest beside the file; without one, names are COCO's where there are as many. Raises LossUnfit (KF365)
    for what is no detector of the layout yolox, ModelUnreadable (KF105), ModelUnfit (KF107)."""
    manifest = beside(model)
    signature = OnnxModel(model, size=manifest.input if manifest is not None else None).signature
    if "yolox" not in recognised(signature):
        raise LossUnfit(loss="detection", detail=f"{model.name} is no detector of the layout yolox")
    count = classes(signature)
    labels = manifest.labels if manifest is not None else BY_COUNT.get(count, ())
    if len(labels) != count:
        detail = f"{model.name} tells {count} classes apart and {len(labels) or 'nothing'} names them"
        raise LossUnfit(loss="detection", detail=f"{detail}: write a manifest beside it (docs/detectors.md)")
    height, width = signature.inputs[0].shape[2:]
    return Network(signature.inputs[0].name, (width, height), tuple(labels), is_decoded(signature))
