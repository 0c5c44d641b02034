"""The agent's page over HTTP: who is let in, and what it answers."""

import contextlib
import http.client
import json
import socket

import numpy as np
import pytest

from agent.errors import PagePortTaken
from agent.page.camera_view import CameraView
from agent.page.server import MOST_CONNECTIONS, PageServer
from agent.settings import CameraFile
from agent.traffic.calibration import propose

POINTS = [[130, 300], [510, 300], [360, 100], [280, 100]]


@pytest.fixture
def page(tmp_path, drawn_road):
    image = drawn_road().draw()
    file = CameraFile(tmp_path, "north")
    view = CameraView(
        "north",
        "rtsp://***@cam/1",
        lambda: image,
        lambda: propose(7, 40, (640, 360)),
        lambda: ("running", ""),
        file,
        lambda: "<svg/>",
        lambda: image[:90, :160],
    )
    blank = CameraView(
        "dark",
        "x",
        lambda: None,
        lambda: None,
        lambda: ("failed", "KF57"),
        CameraFile(tmp_path, "dark"),
        lambda: None,
        lambda: None,
    )
    server = PageServer(lambda: [view, blank], tmp_path, 0)
    server.start()
    server.file = file
    yield server
    server.stop()


def ask(page, path, method="GET", body=None, token=True, **headers):
    port = int(page.url.rsplit(":", 1)[1].strip("/"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    if token:
        headers.setdefault("Authorization", f"Bearer {page.token}")
    data = json.dumps(body) if isinstance(body, dict) else body
    connection.request(method, path, data, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def wish(**changes):
    return {"points": POINTS, "picture": [640, 360], "road_width_m": 10.5, "visible_length_m": 60.0, **changes}


@pytest.mark.parametrize(
    "path",
    ["/api/cameras", *(f"/api/cameras/north/{name}" for name in ("snapshot.jpg", "thumbnail.svg", "thumbnail.jpg"))],
)
def test_nothing_is_told_without_the_token(page, path):
    assert ask(page, path, token=False)[0].status == 401
    assert ask(page, path, Authorization="Bearer wrong")[0].status == 401
    assert ask(page, path, Authorization=f"Basic {page.token}")[0].status == 401
    assert ask(page, path)[0].status == 200


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_nothing_is_changed_without_the_token(page, method):
    leaf = "calibration" if method == "PUT" else "preview"
    assert ask(page, f"/api/cameras/north/{leaf}", method, wish(), token=False)[0].status == 401
    assert not page.file.path.exists()


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Host": "127.0.0.1"}, {"Origin": "http://evil.example"}, {"Origin": "null"}],
)
def test_other_hosts_and_origins_are_refused_everywhere(page, headers):
    for path in ("/", "/api/cameras"):
        assert ask(page, path, **headers)[0].status == 403


def test_the_page_itself_asks_for_nothing_outside(page):
    answer, content = ask(page, "/", token=False)
    assert answer.status == 200
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert b"http://" not in content
    assert b"https://" not in content


def test_cameras_are_listed_and_shown(page):
    cameras = json.loads(ask(page, "/api/cameras")[1])
    assert [(one["camera"], one["state"]) for one in cameras] == [("north", "running"), ("dark", "failed")]
    assert cameras[0]["calibration"]["calibrated"] is False
    answer, content = ask(page, "/api/cameras/north/snapshot.jpg")
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert content.startswith(b"\xff\xd8")
    drawn, content = ask(page, "/api/cameras/north/thumbnail.svg")
    assert (drawn.headers["Content-Type"], content) == ("image/svg+xml", b"<svg/>")
    small, content = ask(page, "/api/cameras/north/thumbnail.jpg")
    assert small.headers["Content-Type"] == "image/jpeg"
    assert content.startswith(b"\xff\xd8")
    for name in ("snapshot.jpg", "thumbnail.svg", "thumbnail.jpg"):
        assert ask(page, f"/api/cameras/dark/{name}")[0].status == 503


def test_a_preview_shows_the_road_and_its_lanes_and_keeps_nothing(page):
    answer, content = ask(page, "/api/cameras/north/preview", "POST", wish())
    assert (answer.status, answer.headers["X-Lanes"]) == (200, "3")
    assert content.startswith(b"\xff\xd8")
    assert not page.file.path.exists()


def test_a_calibration_is_saved_for_the_agent(page):
    answer, content = ask(page, "/api/cameras/north/calibration", "PUT", wish(lanes=2))
    assert (answer.status, json.loads(content)) == (200, {"lanes": 2})
    saved = page.file.load()
    assert saved.calibrated
    assert np.array(saved.points).tolist() == POINTS
    assert saved.lanes == 2


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"points": [[1, 1], [2, 2], [3, 3], [4, 4]]}, "KF64"),
        ({"points": [POINTS[0], POINTS[2], POINTS[1], POINTS[3]]}, "KF65"),
        ({"points": [[-50, 300], *POINTS[1:]]}, "KF66"),
        ({"road_width_m": -2.0}, "KF67"),
    ],
)
def test_bad_corners_and_sizes_are_told_by_code(page, changes, code):
    for leaf, method in (("preview", "POST"), ("calibration", "PUT")):
        answer, content = ask(page, f"/api/cameras/north/{leaf}", method, wish(**changes))
        assert (answer.status, json.loads(content)["code"]) == (422, code)
    assert not page.file.path.exists()


@pytest.mark.parametrize("body", ["", "{", "[]", '{"points": 3}', "\xff", json.dumps(wish(extra=1))])
def test_requests_that_make_no_sense_are_refused(page, body):
    assert ask(page, "/api/cameras/north/calibration", "PUT", body)[0].status == 400


def test_large_requests_and_unknown_places_are_refused(page):
    assert ask(page, "/api/cameras/north/calibration", "PUT", "x" * 20_000)[0].status == 413
    for path in ("/api/cameras/south/snapshot.jpg", "/../agent-token", "/agent-token", "/api/cameras/north"):
        assert ask(page, path)[0].status == 404


def test_a_port_in_use_is_told(page, tmp_path):
    port = int(page.url.rsplit(":", 1)[1].strip("/"))
    with pytest.raises(PagePortTaken):
        PageServer(list, tmp_path, port)


def test_the_token_is_kept_and_only_its_owner_may_read_it(page, tmp_path):
    path = tmp_path / "agent-token"
    assert path.stat().st_mode & 0o077 == 0
    assert path.read_text().strip() == page.token
    assert page.token in page.entry
    assert page.token not in page.url


def test_a_length_that_is_no_number_is_refused_in_order(page):
    for length in ("\xb2", "9" * 5_000, "-1", "1_0"):
        answer, _ = ask(page, "/api/cameras/north/preview", "POST", Content_Length=length)
        assert answer.status == 413


def test_a_crowd_of_silent_connections_shuts_nobody_out(page):
    with contextlib.ExitStack() as crowd:
        port = int(page.url.rsplit(":", 1)[1].strip("/"))
        silent = [
            crowd.enter_context(socket.create_connection(("127.0.0.1", port), 10)) for _ in range(2 * MOST_CONNECTIONS)
        ]
        assert ask(page, "/")[0].status == 200
        # Those that came first have gone.
        for one in silent[:MOST_CONNECTIONS]:
            assert one.recv(1) == b""
