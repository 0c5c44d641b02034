"""From a camera's address to an open camera."""

from __future__ import annotations

import re
from pathlib import Path

from agent.camera.file import FileCamera
from agent.camera.mjpeg import MjpegCamera
from agent.camera.picamera import PiCamera
from agent.camera.port import Camera
from agent.camera.rtsp import RtspCamera
from agent.camera.source import shown
from agent.camera.v4l2 import V4l2Camera
from agent.errors import SourceUnknown
from node.clock import Clock
from protocol.ids import CameraId, is_slug

PICTURE_PX = (640, 360)
_SCHEMES = ("rtsp", "rtsps", "http", "https", "file")
_PI = re.compile(r"picamera(?::(\d))?\Z")
_NO_SLUG = re.compile(r"[^a-z0-9]+")


def open_camera(source: str, clock: Clock, live: bool = True, picture: tuple[int, int] = PICTURE_PX) -> Camera:
    """Open a file, rtsp://…, http(s)://…, /dev/videoN or picamera[:N]. live: pace a file by its own timestamps and play
    it over and over. picture: width and height to ask a camera of this machine for. Raises SourceUnknown (KF61) and
    what the kind of source raises."""
    scheme = check_source(source)
    if scheme in ("rtsp", "rtsps"):
        return RtspCamera(source, clock)
    if scheme in ("http", "https"):
        return MjpegCamera(source, clock)
    if scheme == "file":
        return FileCamera(Path(source[len("file://") :]), clock, live)
    if (found := _PI.match(source)) is not None:
        return PiCamera(int(found[1] or 0), clock, width_px=picture[0], height_px=picture[1])
    if source.startswith("/dev/"):
        return V4l2Camera(Path(source), clock, *picture)
    return FileCamera(Path(source), clock, live)


def check_source(source: str) -> str:
    """The scheme of a camera's address, "" for a path. Raises SourceUnknown (KF61) for one that nothing here opens."""
    scheme = source.partition("://")[0].lower() if "://" in source else ""
    if not source or (scheme and scheme not in _SCHEMES):
        raise SourceUnknown(source=shown(source))
    return scheme


def camera_id_from(source: str) -> CameraId:
    """A name for a camera that was given none: from its file's or path's name, without what may be secret."""
    stem = Path(shown(source).partition("?")[0]).stem if "://" not in source else shown(source).partition("?")[0]
    name = stem.rpartition("@")[2].rpartition("://")[2]
    text = _NO_SLUG.sub("-", name.lower()).strip("-")[:40].strip("-")
    return CameraId(text if is_slug(text) else "camera")
