"""The camera server, read by a plain HTTP client."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest

from node.errors import PortInUse
from protocol.ids import CameraId
from sim_devices.streams.channel import Picture
from sim_devices.streams.mjpeg import BOUNDARY, MjpegServer

CAMERA = CameraId("mill-north-camera")


def picture(number: int) -> Picture:
    return Picture(b"\xff\xd8picture %d\xff\xd9" % number, 1_760_000_000_000 + number, 5_000 + number, number)


@pytest.fixture
def server() -> Iterator[MjpegServer]:
    one = MjpegServer([CAMERA])
    one.start()
    yield one
    one.stop()


def ask(server: MjpegServer, path: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(*server.address, timeout=10)
    connection.request("GET", path)
    response = connection.getresponse()
    # The response keeps the socket; http.client closes it once it has been read or closed.
    return response


def part(response: http.client.HTTPResponse) -> tuple[dict[str, str], bytes]:
    assert response.fp.readline().strip() == f"--{BOUNDARY}".encode()
    headers = {}
    while line := response.fp.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name] = value
    body = response.fp.read(int(headers["Content-Length"]))
    assert response.fp.readline() == b"\r\n"
    return headers, body


def test_a_stream_gives_each_picture_with_its_stamps(server: MjpegServer) -> None:
    channel = server.channels[CAMERA]
    channel.publish(picture(1))
    with ask(server, f"/{CAMERA}.mjpg") as response:
        assert response.getheader("Content-Type") == f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        headers, body = part(response)
        assert body == picture(1).jpeg
        assert headers["X-Captured-Ms"] == str(picture(1).captured_ms)
        assert headers["X-Captured-Mono-Ms"] == str(picture(1).captured_mono_ms)
        assert headers["X-Frame"] == "1"
        channel.publish(picture(2))
        assert part(response)[1] == picture(2).jpeg


def test_a_reader_that_comes_late_gets_the_newest_picture_alone(server: MjpegServer) -> None:
    for number in range(1, 6):
        server.channels[CAMERA].publish(picture(number))
    with ask(server, f"/{CAMERA}.mjpg") as response:
        assert part(response)[0]["X-Frame"] == "5"
    with ask(server, f"/{CAMERA}.jpg") as response:
        assert response.read() == picture(5).jpeg
        assert response.getheader("X-Frame") == "5"


def test_what_is_no_camera_is_not_found(server: MjpegServer) -> None:
    for path in ("/nobody.mjpg", f"/{CAMERA}.png", f"/{CAMERA}", "/../secret.jpg"):
        with ask(server, path) as response:
            assert response.status == 404
    with ask(server, "/") as response:
        assert response.read().decode() == f"/{CAMERA}.mjpg\n"


def test_a_frozen_camera_repeats_its_picture_as_if_it_were_new(server: MjpegServer) -> None:
    channel = server.channels[CAMERA]
    channel.publish(picture(1))
    channel.set_fault("frozen")
    channel.publish(picture(2))
    with ask(server, f"/{CAMERA}.mjpg") as response:
        headers, body = part(response)
        assert (headers["X-Frame"], body) == ("2", picture(1).jpeg)
        channel.set_fault("live")
        channel.publish(picture(3))
        assert part(response)[1] == picture(3).jpeg


def test_a_stalled_camera_keeps_the_connection_and_sends_nothing_until_it_is_well(server: MjpegServer) -> None:
    channel = server.channels[CAMERA]
    channel.publish(picture(1))
    with ask(server, f"/{CAMERA}.mjpg") as response:
        part(response)
        channel.set_fault("stalled")
        channel.publish(picture(2))
        assert channel.newer(1, timeout_s=0.2) is None
        channel.set_fault("live")
        channel.publish(picture(3))
        assert part(response)[0]["X-Frame"] == "3"


def test_a_dead_camera_closes_its_streams_and_refuses_new_ones(server: MjpegServer) -> None:
    channel = server.channels[CAMERA]
    channel.publish(picture(1))
    with ask(server, f"/{CAMERA}.mjpg") as response:
        part(response)
        channel.set_fault("dead")
        assert response.fp.read() == b""
    with ask(server, f"/{CAMERA}.mjpg") as response:
        assert response.status == 503


def test_a_port_in_use_is_named() -> None:
    first = MjpegServer([CAMERA])
    try:
        with pytest.raises(PortInUse, match=str(first.address[1])):
            MjpegServer([CAMERA], port=first.address[1])
    finally:
        first.stop()
