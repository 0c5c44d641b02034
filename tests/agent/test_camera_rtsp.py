"""RTSP as a camera's sub-stream or Frigate's restream serves it, from a small server of our own: RTP/JPEG (RFC 2435)
interleaved in the RTSP connection (RFC 2326, 10.12). OpenCV's ffmpeg reads it for real."""

import socket
import struct
import threading

import cv2
import numpy as np
import pytest

from agent.camera.opening import open_camera
from agent.camera.rtsp import RtspCamera
from agent.errors import CameraRefused, CameraStalled, CameraUnreachable
from node.clock import SystemClock

SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 26\r\na=control:track1\r\n"
)


class RtspServer:
    """One camera. fall_silent_after: pictures before it stops sending; deaf: answers nothing; login: asked for."""

    def __init__(self, shade=120, fall_silent_after=10_000, deaf=False, login=None):
        self.shade, self.limit, self.deaf, self.login = shade, fall_silent_after, deaf, login
        self.paths, self.transports = [], []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def url(self, path="cam", login=""):
        return f"rtsp://{login}127.0.0.1:{self.port}/{path}"

    def _accept(self):
        self._listener.settimeout(0.1)
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        connection.settimeout(0.05)
        held, playing, number = b"", False, 0
        with connection:
            while not self._stopping.is_set():
                try:
                    more = connection.recv(65536)
                    if not more:
                        return
                    held += more
                except TimeoutError:
                    pass
                except OSError:
                    return
                while held[:1] == b"$" and len(held) >= 4 and len(held) >= 4 + int.from_bytes(held[2:4], "big"):
                    held = held[4 + int.from_bytes(held[2:4], "big") :]
                while b"\r\n\r\n" in held and held[:1] != b"$":
                    request, _, held = held.partition(b"\r\n\r\n")
                    if self.deaf:
                        continue
                    playing |= self._answer(connection, request.decode())
                try:
                    if playing and number < self.limit:
                        for packet in rtp_jpeg(picture(self.shade), number):
                            connection.sendall(b"$\x00" + struct.pack(">H", len(packet)) + packet)
                        number += 1
                except OSError:
                    return

    def _answer(self, connection, request):
        first, *lines = request.split("\r\n")
        method, url, _ = first.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        status, more, body = "200 OK", "", ""
        if self.login and self.login not in headers.get("authorization", ""):
            status, more = "401 Unauthorized", 'WWW-Authenticate: Basic realm="cam"\r\n'
        elif method == "OPTIONS":
            more = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER\r\n"
        elif method == "DESCRIBE":
            self.paths.append(url)
            body = SDP
            more = f"Content-Type: application/sdp\r\nContent-Base: {url}/\r\n"
        elif method == "SETUP":
            self.transports.append(headers["transport"])
            if "TCP" not in headers["transport"]:
                status = "461 Unsupported transport"
            more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1;timeout=60\r\n"
        elif method == "PLAY":
            more = "Session: 1\r\nRange: npt=0-\r\n"
        answer = f"RTSP/1.0 {status}\r\nCSeq: {headers['cseq']}\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}"
        connection.sendall(answer.encode())
        return method == "PLAY" and status.startswith("200")


def picture(shade):
    image = np.full((96, 160, 3), shade, np.uint8)
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80, *sampling])[1].tobytes()


def rtp_jpeg(jpeg, number, most=1200):
    """RTP packets of one picture: JPEG type 1 (4:2:0), quantisation tables in the first packet."""
    tables, at = b"", 2
    while True:
        marker, length = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4], "big")
        segment = jpeg[at + 4 : at + 2 + length]
        at += 2 + length
        if marker == 0xDB:
            while segment:
                tables, segment = tables + segment[1:65], segment[65:]
        elif marker == 0xC0:
            height, width = struct.unpack(">HH", segment[1:5])
        elif marker == 0xDA:
            break
    scan = jpeg[at:-2]
    packets = []
    for offset in range(0, len(scan), most):
        chunk = scan[offset : offset + most]
        last = offset + most >= len(scan)
        head = struct.pack(
            ">BBHII", 0x80, 26 | (0x80 if last else 0), (number * 64 + offset // most) & 0xFFFF, number * 9000, 7
        )
        head += struct.pack(">I", offset) + bytes([1, 255, width // 8, height // 8])
        if offset == 0:
            head += struct.pack(">BBH", 0, 0, len(tables)) + tables
        packets.append(head + chunk)
    return packets


def test_a_restream_is_read_over_tcp():
    """Frigate's restream: rtsp://host:8554/name."""
    with RtspServer(shade=120) as server:
        camera = open_camera(server.url("front_door"), SystemClock())
        frames = [camera.read() for _ in range(3)]
        camera.close()
    assert [frame.number for frame in frames] == [0, 1, 2]
    assert frames[0].image.shape == (96, 160, 3)
    assert abs(float(frames[0].image.mean()) - 120) < 6
    assert server.paths[0].endswith("/front_door")
    assert all("TCP" in transport for transport in server.transports)


def test_a_sub_stream_with_query_and_login_is_read():
    """Many cameras choose the sub-stream in the query: /cam/realmonitor?channel=1&subtype=1."""
    with RtspServer(login="Basic YWRtaW46aHVudGVyMg==") as server:
        url = server.url("cam/realmonitor?channel=1&subtype=1", login="admin:hunter2@")
        camera = open_camera(url, SystemClock())
        assert camera.read().image.shape == (96, 160, 3)
        camera.close()
    assert server.paths[-1].endswith("/cam/realmonitor?channel=1&subtype=1")


def test_a_wrong_password_is_refused_without_being_shown():
    with RtspServer(login="Basic nobody-has-this") as server, pytest.raises(CameraRefused) as caught:
        RtspCamera(server.url(login="admin:hunter2@"), SystemClock(), 2.0, 1.0)
    assert "hunter2" not in str(caught.value)


def test_a_stream_that_falls_silent_ends_within_its_time_out():
    with RtspServer(fall_silent_after=12) as server:
        camera = RtspCamera(server.url(), SystemClock(), 5.0, 1.0)
        with pytest.raises(CameraStalled):
            list(iter(camera.read, None))
        camera.close()


def test_a_server_that_accepts_and_says_nothing_does_not_hang():
    with RtspServer(deaf=True) as server, pytest.raises(CameraRefused):
        RtspCamera(server.url(), SystemClock(), 1.0, 1.0)


def test_nobody_there_is_told():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(CameraUnreachable):
        RtspCamera(f"rtsp://127.0.0.1:{port}/x", SystemClock(), 1.0, 1.0)
