"""Credentials and the authority that makes them: on disk, and in a real handshake."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from node.clock import SystemClock
from node.errors import CredentialsUnusable, CsrRefused
from node.trust import credentials as stored
from node.trust.authority import Authority
from node.trust.certificates import pem
from node.trust.credentials import Credentials, Joined
from node.trust.csr import make_csr, read_csr
from node.trust.keys import new_key
from protocol.ids import DeviceId

EDGE, DEVICE = DeviceId("edge-1"), DeviceId("cam-1")
NOW = SystemClock().wall_ms()
DAY_MS = 86_400_000


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "authority", EDGE, NOW)
    made.ensure_server(["127.0.0.1"], NOW)
    made.publish_crl([], 1)
    return made


def joined(authority: Authority, home: Path, device: DeviceId = DEVICE) -> Credentials:
    key = new_key()
    certificate = pem(authority.issue(read_csr(make_csr(key, device, "agent")), NOW)).decode()
    facts = Joined(device=device, edge=EDGE, role="agent", hosts=("127.0.0.1",))
    return stored.save(home / "trust", key, certificate, authority.ca, facts)


@contextmanager
def tls_server(authority: Authority, *, key: str = "server") -> Iterator[tuple[str, int]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.folder / f"{key}.pem", authority.folder / f"{key}.key")
    context.load_verify_locations(authority.folder / "ca.pem")
    context.load_verify_locations(authority.folder / "crl.pem")
    context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    wire, _ = listener.accept()
                    with suppress(OSError), wire, context.wrap_socket(wire, server_side=True) as talk:
                        talk.sendall(b"in")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def says(context: ssl.SSLContext, address: tuple[str, int]) -> bytes:
    with socket.create_connection(address, 5) as wire, context.wrap_socket(wire, server_hostname=address[0]) as talk:
        return talk.recv(2)


def test_joined_device_and_edge_know_each_other(authority: Authority, tmp_path: Path) -> None:
    credentials = joined(authority, tmp_path)
    with tls_server(authority) as address:
        assert says(credentials.tls(), address) == b"in"
    assert [(one.host, one.port, one.tls) for one in credentials.brokers()] == [("127.0.0.1", 8883, True)]
    assert stored.load(tmp_path) == credentials


def test_another_root_is_not_believed(authority: Authority, tmp_path: Path) -> None:
    """Of the same name even."""
    stranger = Authority(tmp_path / "stranger", EDGE, NOW)
    stranger.ensure_server(["127.0.0.1"], NOW)
    stranger.publish_crl([], 1)
    credentials = joined(authority, tmp_path)
    with tls_server(stranger) as address, pytest.raises(ssl.SSLCertVerificationError):
        says(credentials.tls(), address)


def test_a_device_is_no_server(authority: Authority, tmp_path: Path) -> None:
    """Who holds a device's key can't stand in for the edge server."""
    other = joined(authority, tmp_path / "other", DeviceId("cam-2"))
    (authority.folder / "cam.pem").write_text(other.certificate)
    (authority.folder / "cam.key").write_bytes((other.folder / "key.pem").read_bytes())
    credentials = joined(authority, tmp_path)
    with tls_server(authority, key="cam") as address, pytest.raises(ssl.SSLCertVerificationError):
        says(credentials.tls(), address)


def test_revoked_device_is_refused(authority: Authority, tmp_path: Path) -> None:
    credentials = joined(authority, tmp_path)
    authority.publish_crl([(credentials.facts.serial, NOW)], 2)
    with tls_server(authority) as address, pytest.raises(OSError, match="revoked"):
        says(credentials.tls(), address)


@pytest.mark.parametrize(("days", "works"), [(-2000, True), (0, True), (90, True), (92, False)])
def test_time_is_what_the_edge_said(authority: Authority, tmp_path: Path, days: int, works: bool) -> None:
    """A clock that is years behind is no hindrance; a server's certificate (90 days) is not believed for ever."""
    credentials = joined(authority, tmp_path)
    credentials.time.learn(NOW + days * DAY_MS)
    with tls_server(authority) as address:
        if works:
            assert says(credentials.tls(), address) == b"in"
        else:
            with pytest.raises(ssl.SSLCertVerificationError, match="ended"):
                says(credentials.tls(), address)


def test_authority_is_opened_again_and_never_made_twice(authority: Authority) -> None:
    assert Authority(authority.folder, EDGE, NOW).pin == authority.pin
    (authority.folder / "ca.key").unlink()
    with pytest.raises(CredentialsUnusable):
        Authority(authority.folder, EDGE, NOW)


def test_authority_made_under_a_lost_clock_outlives_that(tmp_path: Path) -> None:
    authority = Authority(tmp_path, EDGE, 0)
    assert authority.root.not_valid_after_utc.year > 2050
    authority.ensure_server(["127.0.0.1"], 0)
    server = authority.server()
    assert server is not None
    assert server.not_valid_after_utc.year >= 2026


def test_server_certificate_is_renewed_in_time_and_for_new_names(authority: Authority) -> None:
    assert not authority.ensure_server(["127.0.0.1"], NOW + 59 * DAY_MS)
    assert authority.ensure_server(["127.0.0.1"], NOW + 61 * DAY_MS)
    assert authority.ensure_server(["127.0.0.1", "closet.lan"], NOW)
    assert not authority.ensure_server(["closet.lan"], NOW)


def test_private_files_are_the_owners_alone(authority: Authority, tmp_path: Path) -> None:
    credentials = joined(authority, tmp_path)
    for path in (authority.folder / "ca.key", authority.folder / "server.key", credentials.folder / "key.pem"):
        assert path.stat().st_mode & 0o077 == 0
        path.chmod(0o644)
    with pytest.raises(CredentialsUnusable, match="others"):
        credentials.key()


def test_power_cut_while_credentials_are_swapped(authority: Authority, tmp_path: Path) -> None:
    credentials = joined(authority, tmp_path)
    (tmp_path / "trust").rename(tmp_path / "trust.old")
    assert stored.load(tmp_path) == credentials


@pytest.mark.parametrize("file", ["joined.json", "certificate.pem", "ca.pem"])
def test_damaged_credentials_are_told(authority: Authority, tmp_path: Path, file: str) -> None:
    joined(authority, tmp_path)
    (tmp_path / "trust" / file).write_text("{")
    with pytest.raises(CredentialsUnusable):
        stored.load(tmp_path)


def test_signing_requests_that_are_refused() -> None:
    good = make_csr(new_key(), DEVICE, "agent")
    other = make_csr(new_key(), DEVICE, "controller")
    assert read_csr(good).device == DEVICE
    for bad in (
        "",
        "no PEM",
        good[: len(good) // 2],
        good[:100] + ("A" if good[100] != "A" else "B") + good[101:],
        good + "x" * 5000,
        "ü",
        other.replace("REQUEST", "CERTIFICATE"),
        make_csr(new_key(), DeviceId("Not An Id"), "agent"),
        make_csr(new_key(), DEVICE, "admin"),  # type: ignore[arg-type]
    ):
        with pytest.raises(CsrRefused):
            read_csr(bad)
