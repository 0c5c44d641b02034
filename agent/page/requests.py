"""One request to the page."""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from importlib.resources import files
from typing import Protocol, TypeVar, cast
from urllib.parse import urlsplit

import msgspec

from agent.camera.port import Image
from agent.page.assistant import PREFIX, Better, PageAssistant, Question
from agent.page.camera_view import CameraView, jpeg, rectified
from agent.traffic.calibration import Calibration, calibrate
from protocol.errors import KinflowError

STATIC = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/calibrate.js": ("calibrate.js", "text/javascript; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
# Of the assistant, where there is one: package, file, kind. The edge server's dashboard has the same conversation.
CHAT = {
    "/chat": ("agent.page", "static/chat.html", "text/html; charset=utf-8"),
    "/chat-page.js": ("agent.page", "static/chat-page.js", "text/javascript; charset=utf-8"),
    "/chat.js": ("models.assistant", "page/chat.js", "text/javascript; charset=utf-8"),
    "/chat.css": ("models.assistant", "page/chat.css", "text/css; charset=utf-8"),
    "/sw.js": ("agent.page", "static/sw.js", "text/javascript; charset=utf-8"),
    "/manifest.webmanifest": ("agent.page", "static/manifest.webmanifest", "application/manifest+json"),
}
LINES = "application/x-ndjson"
LIMIT_BYTES = 16 * 1024
_LENGTH = re.compile(r"[0-9]{1,9}\Z")
_NAMES = ("127.0.0.1", "localhost", "[::1]")
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

T = TypeVar("T", bound=msgspec.Struct)

log = logging.getLogger(__name__)


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    """What the page asks for: points in pixels of a picture of this size, and the road's size in metres."""

    points: tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]
    picture: tuple[int, int]
    road_width_m: float
    visible_length_m: float
    lanes: int = 0


class Serves(Protocol):
    token: str
    server_port: int
    views: Callable[[], Sequence[CameraView]]
    assistant: PageAssistant | None


class PageRequest(BaseHTTPRequestHandler):
    """Host and Origin are checked on every request, the token on every one that tells or changes anything."""

    protocol_version = "HTTP/1.1"
    timeout = 20
    server_version, sys_version = "kinflow", ""

    def do_GET(self) -> None:
        self._answer(
            {
                "snapshot.jpg": self._snapshot,
                "thumbnail.svg": self._drawing,
                "thumbnail.jpg": self._thumbnail,
            }
        )

    def do_POST(self) -> None:
        self._answer({"preview": self._preview})

    def do_PUT(self) -> None:
        self._answer({"calibration": self._save})

    def do_DELETE(self) -> None:
        self._answer({})

    def log_message(self, format: str, *arguments: object) -> None:
        log.debug("page: " + format, *arguments)

    # Gate

    def _answer(self, actions: dict[str, Callable[[CameraView], None]]) -> None:
        path = urlsplit(self.path).path
        if not self._from_here():
            self._fail(HTTPStatus.FORBIDDEN, "The page answers on this machine's own address only.")
        elif self.command == "GET" and path in STATIC:
            name, kind = STATIC[path]
            self._send(HTTPStatus.OK, kind, files("agent.page").joinpath("static", name).read_bytes())
        elif self.command == "GET" and path in CHAT and self._serves.assistant is not None:
            package, name, kind = CHAT[path]
            self._send(HTTPStatus.OK, kind, files(package).joinpath(name).read_bytes())
        elif not self._has_token():
            self._fail(
                HTTPStatus.UNAUTHORIZED, "The token is missing or wrong; `kinflow agent page` prints the address."
            )
        elif self.command == "GET" and path == "/api/cameras":
            self._send_json(HTTPStatus.OK, [_told(view) for view in self._serves.views()])
        elif (path == PREFIX or path.startswith(f"{PREFIX}/")) and self._serves.assistant is not None:
            self._checked(lambda: self._assist(path.removeprefix(PREFIX)))
        else:
            self._route(path, actions)

    def _route(self, path: str, actions: dict[str, Callable[[CameraView], None]]) -> None:
        parts = path.removeprefix("/api/cameras/").split("/")
        view = next((one for one in self._serves.views() if one.camera == parts[0]), None)
        if not path.startswith("/api/cameras/") or len(parts) != 2 or view is None or parts[1] not in actions:
            self._fail(HTTPStatus.NOT_FOUND, "There is nothing here.")
            return
        self._checked(lambda: actions[parts[1]](view))

    def _checked(self, action: Callable[[], None]) -> None:
        try:
            action()
        except KinflowError as error:
            self._send_json(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                {"code": error.code, "cause": error.cause_text, "advice": error.advice_text},
            )

    def _from_here(self) -> bool:
        """A page elsewhere may not read or steer this one through the person's browser (DNS rebinding, CSRF)."""
        allowed = {f"{name}:{self._serves.server_port}" for name in _NAMES}
        origin = self.headers.get("Origin")
        return self.headers.get("Host", "") in allowed and (
            origin is None or origin in {f"http://{host}" for host in allowed}
        )

    def _has_token(self) -> bool:
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._serves.token.encode())

    @property
    def _serves(self) -> Serves:
        return cast(Serves, self.server)

    # Actions

    def _snapshot(self, view: CameraView) -> None:
        image = view.image()
        if image is None:
            self._fail(HTTPStatus.SERVICE_UNAVAILABLE, "The camera has sent no picture yet.")
            return
        self._send(HTTPStatus.OK, "image/jpeg", jpeg(image))

    def _drawing(self, view: CameraView) -> None:
        drawn = view.drawing()
        if drawn is None:
            self._fail(HTTPStatus.SERVICE_UNAVAILABLE, "The camera has sent no picture yet.")
            return
        self._send(HTTPStatus.OK, "image/svg+xml", drawn.encode())

    def _thumbnail(self, view: CameraView) -> None:
        image = view.thumbnail()
        if image is None:
            why = "Real thumbnails are switched off (real_thumbnails), or no detector has looked yet."
            self._fail(HTTPStatus.SERVICE_UNAVAILABLE, why)
            return
        self._send(HTTPStatus.OK, "image/jpeg", jpeg(image))

    def _preview(self, view: CameraView) -> None:
        image, wish = view.image(), self._wish()
        if wish is None:
            return
        if image is None:
            self._fail(HTTPStatus.SERVICE_UNAVAILABLE, "The camera has sent no picture yet.")
            return
        calibration = _calibration(wish, image)
        self._send(
            HTTPStatus.OK, "image/jpeg", jpeg(rectified(image, calibration)), {"X-Lanes": str(calibration.lanes)}
        )

    def _save(self, view: CameraView) -> None:
        image, wish = view.image(), self._wish()
        if wish is None:
            return
        calibration = _calibration(wish, image)
        view.file.save(calibration)
        self._send_json(HTTPStatus.OK, {"lanes": calibration.lanes})

    # The assistant

    def _assist(self, leaf: str) -> None:
        assistant = self._serves.assistant
        assert assistant is not None
        match self.command, leaf:
            case "GET", "":
                self._send_json(HTTPStatus.OK, assistant.about())
            case "POST", "/ask":
                if (asked := self._body(Question)) is not None:
                    self._send_lines(assistant.ask(asked))
            case "GET", "/corrections":
                self._send_json(HTTPStatus.OK, assistant.corrections())
            case "POST", "/corrections":
                if (said := self._body(Better)) is not None:
                    self._send_json(HTTPStatus.CREATED, assistant.correct(said))
            case "DELETE", _ if leaf.startswith("/corrections/") and assistant.withdraw(leaf.rpartition("/")[2]):
                self._send_json(HTTPStatus.OK, {})
            case _:
                self._fail(HTTPStatus.NOT_FOUND, "There is nothing here.")

    def _send_lines(self, lines: Iterator[bytes]) -> None:
        """Each as it comes (chunked, RFC 9112 7.1). A reader that goes away ends them."""
        self.send_response(HTTPStatus.OK)
        for name, value in {**_HEADERS, "Content-Type": LINES, "Transfer-Encoding": "chunked"}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for line in lines:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    def _wish(self) -> Wish | None:
        return self._body(Wish)

    def _body(self, kind: type[T]) -> T | None:
        length = self.headers.get("Content-Length", "")
        if not _LENGTH.match(length) or int(length) > LIMIT_BYTES:
            self.close_connection = True
            self._fail(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is too large.")
            return None
        try:
            return msgspec.json.decode(self.rfile.read(int(length)), type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._fail(HTTPStatus.BAD_REQUEST, f"The request could not be read: {error}")
            return None

    # Answers

    def _fail(self, status: HTTPStatus, text: str) -> None:
        # An unread body must not be taken for the next request.
        self.close_connection = True
        self._send_json(status, {"cause": text, "advice": "", "code": ""})

    def _send_json(self, status: HTTPStatus, value: object) -> None:
        self._send(status, "application/json", msgspec.json.encode(value))

    def _send(self, status: HTTPStatus, kind: str, body: bytes, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, **(more or {}), "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def _calibration(wish: Wish, image: Image | None) -> Calibration:
    """Raises KF64 to KF67."""
    picture = wish.picture if image is None else (image.shape[1], image.shape[0])
    lanes = min(12, max(0, wish.lanes))
    return calibrate(wish.points, wish.road_width_m, wish.visible_length_m, wish.picture, lanes=lanes).scaled(picture)


def _told(view: CameraView) -> dict[str, object]:
    calibration, (state, detail) = view.calibration(), view.state()
    told: dict[str, object] = {"camera": view.camera, "source": view.source, "state": state, "detail": detail}
    if calibration is not None:
        told["calibration"] = {
            "points": calibration.points,
            "picture": calibration.picture,
            "road_width_m": calibration.road_width_m,
            "visible_length_m": calibration.visible_length_m,
            "lanes": calibration.lanes,
            "calibrated": calibration.calibrated,
        }
    return told
