import io
import socket
import threading

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.camera.jpeg import JpegSplitter
from agent.camera.mjpeg import MjpegCamera, read_part
from agent.errors import CameraRefused, CameraStalled, CameraUnreachable, StreamMalformed
from node.clock import ManualClock


def jpeg(shade):
    return cv2.imencode(".jpg", np.full((32, 48, 3), shade, np.uint8))[1].tobytes()


class Serving:
    """A server on loopback that answers each connection with the same bytes, and then stays silent or closes."""

    def __init__(self, answer, silent=False):
        self.answer, self.silent, self.asked = answer, silent, b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        self.port = self.listener.getsockname()[1]

    def _serve(self):
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return
        with connection:
            while b"\r\n\r\n" not in self.asked:
                more = connection.recv(4096)
                if not more:
                    return
                self.asked += more
            connection.sendall(self.answer)
            if self.silent:
                self.done.wait(20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.done.set()
        self.listener.close()
        self.thread.join(5)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/cam"


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"


def part(body, *headers, length=True):
    lines = [b"--frame", b"Content-Type: image/jpeg", *headers]
    if length:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body + b"\r\n"


@pytest.mark.parametrize("length", [True, False], ids=["with lengths", "without"])
def test_pictures_and_their_times_are_read(length):
    stamps = (b"X-Captured-Ms: 1760000000123", b"X-Captured-Mono-Ms: 4567")
    stream = HEAD + part(jpeg(40), *stamps, length=length) + part(jpeg(200), length=length)
    with Serving(stream) as server:
        camera = MjpegCamera(server.url, ManualClock(monotonic_ms=9, wall_ms=99))
        first, second = camera.read(), camera.read()
        assert (first.captured_ms, first.captured_mono_ms, first.number) == (1760000000123, 4567, 0)
        assert (second.captured_ms, second.captured_mono_ms, second.number) == (99, 9, 1)
        assert [round(float(one.image.mean()), -1) for one in (first, second)] == [40, 200]
        with pytest.raises(CameraUnreachable):
            camera.read()
        camera.close()


def test_a_stream_that_falls_silent_does_not_hang():
    with Serving(HEAD + part(jpeg(40)), silent=True) as server:
        camera = MjpegCamera(server.url, ManualClock(), timeout_s=0.3)
        assert camera.read() is not None
        with pytest.raises(CameraStalled):
            camera.read()
        camera.close()


def test_a_server_that_never_answers_does_not_hang():
    with Serving(b"", silent=True) as server, pytest.raises(CameraUnreachable):
        MjpegCamera(server.url, ManualClock(), timeout_s=0.3)


def test_user_and_password_are_sent_and_not_shown():
    with Serving(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n") as server:
        url = server.url.replace("http://", "http://admin:hunter2@")
        with pytest.raises(CameraRefused) as caught:
            MjpegCamera(url, ManualClock())
        assert b"Authorization: Basic YWRtaW46aHVudGVyMg==" in server.asked
    assert "hunter2" not in str(caught.value)
    assert "401" in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi",
        HEAD + b"no boundary\r\n" * 100,
        HEAD + part(b"this is no picture"),
        HEAD + b"--frame\r\nContent-Length: 99999999999\r\n\r\n",
    ],
    ids=["a page", "no boundary", "no picture", "a huge picture"],
)
def test_what_is_no_stream_of_pictures_is_refused(answer):
    with Serving(answer) as server, pytest.raises(StreamMalformed):
        MjpegCamera(server.url, ManualClock()).read()


def test_nobody_listening_is_told():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(CameraUnreachable):
        MjpegCamera(f"http://127.0.0.1:{port}/", ManualClock())


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reader(data):
    try:
        head, body = read_part(io.BytesIO(data), b"--frame")
    except (ValueError, ConnectionError):
        return
    assert isinstance(body, bytes)
    assert head is not None


@given(st.lists(st.binary(max_size=40).map(lambda body: body.replace(b"\xff", b"\x00")), max_size=6), st.integers(1, 9))
def test_a_bare_stream_is_cut_into_its_pictures(bodies, step):
    pictures = [b"\xff\xd8" + body + b"\xff\xd9" for body in bodies]
    stream = b"noise" + b"".join(pictures)
    splitter, found = JpegSplitter(), []
    for start in range(0, len(stream), step):
        found += splitter.feed(stream[start : start + step])
    assert found == pictures
