"""Names of classes as others write them, and which of our labels each means."""

from __future__ import annotations

from models.vision.detector import LABELS, Label

# The 80 classes of COCO in the order of most networks' outputs (Lin et al., Microsoft COCO, 2014).
COCO_80 = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *("elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee"),
    *("skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard"),
    *("tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
    *("potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone"),
    *("microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear"),
    *("hair drier", "toothbrush"),
)
# COCO's own ids run from 1 to 90 and leave these out; networks with 91 outputs use them as they are.
_GAPS = frozenset({0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83})


def _with_gaps() -> tuple[str, ...]:
    names = iter(COCO_80)
    return tuple("" if number in _GAPS else next(names) for number in range(91))


COCO_91 = _with_gaps()
BY_COUNT = {len(COCO_80): COCO_80, len(COCO_91): COCO_91}

# What other sets call the same thing. A name that stands neither here nor among LABELS means nothing to us.
_MEANS: dict[str, Label] = {
    "automobile": "car",
    "van": "car",
    "minibus": "bus",
    "coach": "bus",
    "lorry": "truck",
    "motorbike": "motorcycle",
    "scooter": "motorcycle",
    "cyclist": "bicycle",
    "bike": "bicycle",
    "pedestrian": "person",
    "police": "police_car",
    "police_vehicle": "police_car",
    "fire_truck": "fire_engine",
    "firetruck": "fire_engine",
    "rickshaw": "other_vehicle",
    "auto_rickshaw": "other_vehicle",
    "autorickshaw": "other_vehicle",
    "three_wheeler": "other_vehicle",
    "tuk_tuk": "other_vehicle",
    "tractor": "other_vehicle",
}


def label_of(name: str) -> Label | None:
    """The label that a class's name means, or None for what Kinflow has no use for. Case, blanks and hyphens don't
    matter: `Fire truck` is a fire_engine."""
    plain = name.strip().lower().replace(" ", "_").replace("-", "_")
    for label in LABELS:
        if plain == label:
            return label
    return _MEANS.get(plain)
