"""Cameras: what video4linux lists, without the decoders and scalers that stand in the same list."""

from __future__ import annotations

import re

from node.hardware.found import CameraFound
from node.hardware.tree import Tree

_VIDEO = "sys/class/video4linux"
# Sensors on a ribbon cable are named after their chip and their place on the bus: "imx708 10-001a".
_SENSOR = re.compile(r"^(?:[a-z0-9_]+ )?((?:imx|ov|arducam|ar|gc|hm|mira)[a-z0-9_-]*) \d+-[0-9a-f]{4}")
# Decoders, encoders, image processors and the raw ends of ribbon cables: no camera that can be opened as such.
_NO_CAMERA = re.compile(
    r"codec|isp|hevc|rpivid|unicam|rp1-cfe|pispbe|vi-output|nvcsi|stateless|m2m|loopback metadata", re.IGNORECASE
)


def find_cameras(tree: Tree) -> tuple[CameraFound, ...]:
    """Ribbon cameras first, by their number for libcamera; then those that are /dev/videoN themselves."""
    names = tree.names(_VIDEO)
    titles = {name: tree.text(f"{_VIDEO}/{name}/name") for name in names}
    sensors = [found[1] for name in names if "subdev" in name and (found := _SENSOR.match(titles[name]))]
    ribbon = [
        CameraFound(source=f"picamera:{number}" if number else "picamera", name=chip, kind="csi")
        for number, chip in enumerate(sensors)
    ]
    return (
        *ribbon,
        *(
            CameraFound(source=f"/dev/{name}", name=titles[name], kind="usb")
            for name in names
            if re.fullmatch(r"video\d+", name)
            # A USB camera's second node carries its metadata.
            and tree.number(f"{_VIDEO}/{name}/index") in (0, None)
            and not _NO_CAMERA.search(titles[name])
        ),
    )
