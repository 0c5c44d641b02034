"""The first boot of a card, run for real below a root folder of its own: a real bundle, real TLS, real cuts; stubs for
systemd and the clock alone."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import json
import os
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from firmware_configs.card import card
from firmware_configs.order import Camera, Order
from node.trust.join_code import JoinCode, encode
from node.trust.keys import spki_digest
from node.update.bundle import describe, digest, pack
from node.update.bundle import encode as encode_manifest
from protocol.ids import DeviceId

# A code as an edge server makes it, of a root that is none.
CODE = encode(JoinCode(bytes(range(10)), bytes(range(7))))
INSTALL = """#!/bin/bash
printf '%s\\n' "$*" >> "$KINFLOW_ROOT/installed"
[ -f "$KINFLOW_ROOT/var/lib/kinflow/kinflow.toml" ] && echo settings >> "$KINFLOW_ROOT/installed"
exit "${INSTALL_STATUS:-0}"
"""
ARCH = "arm64" if os.uname().machine in ("aarch64", "arm64") else "x86_64"


@dataclass
class EdgeStub:
    """Serves a bundle under TLS. code: one that pins its authority. State: `cut_after`, bytes after which the first
    answer is cut off."""

    port: int
    authority: str
    code: str
    requests: list[tuple[str, str]]
    state: dict[str, object] = field(default_factory=dict)


def make_authority(name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    return certificate(name, key, key, None), key


def certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
    )
    return builder.sign(signer, hashes.SHA256())


def code_of(authority: x509.Certificate) -> str:
    return encode(JoinCode(spki_digest(authority.public_key())[:10], bytes(7)))  # type: ignore[arg-type]


def pem(value: x509.Certificate) -> str:
    return value.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "made" / f"kinflow-1.2.3-{ARCH}"
    folder.mkdir(parents=True)
    (folder / "install.sh").write_text(INSTALL)
    (folder / "wheel").write_bytes(os.urandom(300_000))
    (folder / "bundle.json").write_bytes(
        encode_manifest(describe(folder, "1.2.3", ARCH, "2026-01-01T00:00:00Z", ("3.11",)))
    )
    path = tmp_path / "made" / f"{folder.name}.tar"
    pack(folder, path)
    return path


@pytest.fixture
def edge(tmp_path: Path, bundle: Path) -> Iterator[EdgeStub]:
    ca, ca_key = make_authority("edge authority")
    key = ec.generate_private_key(ec.SECP256R1())
    served = certificate("edge", key, ca_key, ca)
    (tmp_path / "server.pem").write_text(
        pem(served)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
    )
    state: dict[str, object] = {"content": bundle.read_bytes(), "cut_after": None, "ca": pem(ca)}
    requests: list[tuple[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            whole = state["content"]
            assert isinstance(whole, bytes)
            asked = self.headers.get("Range", "")
            if self.path == "/api/v1/trust/ca":
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps({"edge": "edge-1", "ca": state["ca"]}).encode())
                return
            requests.append((self.path, asked))
            begin = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
            if begin >= len(whole):
                self.send_error(416)
                return
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(whole) - begin))
            self.end_headers()
            cut = state["cut_after"]
            state["cut_after"] = None
            self.wfile.write(whole[begin:] if cut is None else whole[begin : begin + int(str(cut))])

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that does not trust us hangs up; nothing to tell."""

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield EdgeStub(server.server_port, pem(ca), code_of(ca), requests, state)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Device:
    """One card in one board: what first-boot.service would start, and what it left."""

    root: Path
    path: str

    def boot(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", self.root / "usr/local/lib/kinflow/first-boot"],
            env={
                "PATH": self.path,
                "KINFLOW_ROOT": str(self.root),
                "KINFLOW_LOOK_EVERY_S": "0.05",
                "KINFLOW_CLOCK_WAIT_S": "0",
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    @property
    def installed(self) -> list[str]:
        path = self.root / "installed"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def is_waiting(self) -> bool:
        """Whether the service would try again: its condition still holds."""
        return (self.root / "etc/kinflow/first-boot.conf").exists()


@pytest.fixture
def device(tmp_path: Path, stubs: Callable[..., Path], order: Callable[..., Order]) -> Callable[..., Device]:
    path = f"{stubs('systemctl', 'timedatectl', 'chown')}:{os.environ['PATH']}"
    stubs("date", script='case "$1" in +%s) echo "${FAKE_NOW:-1800000000}" ;; esac')

    def lay(**fields: object) -> Device:
        asked = order("pi5", **({"edge": "127.0.0.1", "device": DeviceId("north-1")} | fields))
        root = tmp_path / "root"
        (root / "boot/firmware").mkdir(parents=True)
        for one in card(asked).files:
            target = root / one.path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(one.content)
            target.chmod(one.mode)
        return Device(root, path)

    return lay


def test_a_card_becomes_a_joined_agent(device: Callable[..., Device], edge: EdgeStub, tmp_path: Path) -> None:
    board = device(edge_port=edge.port, authority=edge.authority, cameras=(Camera("camera-1", "picamera"),))
    (board.root / "boot/firmware/user-data").write_text(f"content: {CODE}\n")
    done = board.boot()
    assert done.returncode == 0, done.stderr
    assert edge.requests == [(f"/bundles/{ARCH}.tar", "")]
    call, settings = board.installed
    assert call.startswith("agent --yes --from ")
    assert call.endswith(f"--edge 127.0.0.1:{edge.port} --join {CODE}")
    assert settings == "settings"
    assert "picamera" in (board.root / "var/lib/kinflow/kinflow.toml").read_text()
    # Nothing is left to do, and the code is nowhere any more.
    assert not board.is_waiting
    assert "systemctl disable kinflow-first-boot.service" in (tmp_path / "calls").read_text()
    kept = [one for one in board.root.rglob("*") if one.is_file() and one.name != "installed"]
    assert not [one for one in kept if CODE.encode() in one.read_bytes()]
    assert CODE not in done.stdout + done.stderr
    assert not (board.root / "var/lib/kinflow-first-boot").exists()


def test_a_bundle_on_the_card_needs_no_edge(device: Callable[..., Device], bundle: Path) -> None:
    board = device(edge="", join="", tier="edge", bundle_sha256=digest(bundle))
    (board.root / "boot/firmware" / bundle.name).write_bytes(bundle.read_bytes())
    assert board.boot().returncode == 0
    assert next(one for one in board.installed if one != "settings").startswith("edge --yes --from ")


def test_another_bundle_on_the_card_is_left_alone(device: Callable[..., Device], edge: EdgeStub, bundle: Path) -> None:
    board = device(edge_port=edge.port, join=edge.code, bundle_sha256=digest(bundle))
    (board.root / "boot/firmware/kinflow-9.9.9-evil.tar").write_bytes(b"evil")
    done = board.boot()
    assert done.returncode == 0, done.stderr
    assert "not the bundle that this card was made for" in done.stdout
    assert len(edge.requests) == 1


def test_an_edge_of_another_authority_is_not_believed(device: Callable[..., Device], edge: EdgeStub) -> None:
    other, _ = make_authority("somebody else")
    board = device(edge_port=edge.port, authority=pem(other))
    done = board.boot()
    assert done.returncode != 0
    assert "certificate" in done.stderr.lower()
    assert board.installed == []
    assert edge.requests == []
    assert board.is_waiting


def test_what_is_not_the_bundle_is_not_run(device: Callable[..., Device], edge: EdgeStub, bundle: Path) -> None:
    """By its hash alone, whoever serves it."""
    board = device(edge_port=edge.port, join=edge.code, bundle_sha256=digest(bundle))
    true, edge.state["content"] = edge.state["content"], b"something else entirely"
    assert board.boot().returncode != 0
    assert board.installed == []
    assert board.is_waiting
    edge.state["content"] = true
    assert board.boot().returncode == 0
    assert board.installed


def test_the_join_code_alone_proves_the_edge(device: Callable[..., Device], edge: EdgeStub) -> None:
    """The root is fetched from whoever answers, and must have the key that the code names."""
    board = device(edge_port=edge.port, join=edge.code)
    done = board.boot()
    assert done.returncode == 0, done.stderr
    assert board.installed[0].endswith(f"--join {edge.code}")
    assert len(edge.requests) == 1


def test_another_edge_than_the_codes_is_not_believed(device: Callable[..., Device], edge: EdgeStub) -> None:
    other, _ = make_authority("somebody else")
    board = device(edge_port=edge.port, join=code_of(other))
    done = board.boot()
    assert done.returncode != 0
    assert "not the edge server that the join code was made by" in done.stderr
    assert (edge.requests, board.installed) == ([], [])
    # One who shows the true root, which is no secret, has not its key: TLS itself fails then.
    edge.state["ca"] = pem(other)
    done = board.boot()
    assert done.returncode != 0
    assert "certificate" in done.stderr.lower()
    assert (edge.requests, board.installed) == ([], [])


@pytest.mark.parametrize(
    "said", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", 7]
)
def test_a_root_that_is_none_is_not_believed(device: Callable[..., Device], edge: EdgeStub, said: object) -> None:
    edge.state["ca"] = said
    board = device(edge_port=edge.port, join=edge.code)
    assert board.boot().returncode != 0
    assert (edge.requests, board.installed) == ([], [])


def test_without_a_proof_nothing_is_fetched(device: Callable[..., Device], edge: EdgeStub) -> None:
    board = device(edge_port=edge.port, join="")
    done = board.boot()
    assert done.returncode != 0
    assert "neither the edge's authority nor its bundle's hash" in done.stderr
    assert edge.requests == []


def test_a_cut_download_goes_on_where_it_was(device: Callable[..., Device], edge: EdgeStub, bundle: Path) -> None:
    board = device(edge_port=edge.port, authority=edge.authority, bundle_sha256=digest(bundle))
    edge.state["cut_after"] = 100_000
    done = board.boot()
    assert done.returncode != 0
    assert "it was cut off" in done.stderr
    assert board.is_waiting
    assert board.boot().returncode == 0
    assert [one for _, one in edge.requests] == ["", "bytes=100000-"]
    assert board.installed


def test_a_failed_installation_is_tried_again(device: Callable[..., Device], edge: EdgeStub, bundle: Path) -> None:
    board = device(edge_port=edge.port, authority=edge.authority)
    assert board.boot(INSTALL_STATUS="245").returncode == 245
    assert board.is_waiting
    assert (board.root / "etc/kinflow/join-code").exists()
    assert board.boot().returncode == 0
    # The bundle was fetched once.
    assert len(edge.requests) == 1


def test_a_clock_of_the_past_is_put_to_when_the_card_was_made(
    device: Callable[..., Device], edge: EdgeStub, tmp_path: Path
) -> None:
    board = device(edge_port=edge.port, authority=edge.authority)
    assert board.boot(FAKE_NOW="1000").returncode == 0
    assert "date -u -s @1795000000" in (tmp_path / "calls").read_text()


def test_a_clock_that_can_be_right_is_left_alone(device: Callable[..., Device], edge: EdgeStub, tmp_path: Path) -> None:
    board = device(edge_port=edge.port, authority=edge.authority)
    assert board.boot().returncode == 0
    assert "date -u -s" not in (tmp_path / "calls").read_text()


def test_it_waits_until_the_edge_is_there(device: Callable[..., Device], edge: EdgeStub) -> None:
    """The edge is switched on an hour after the device: a closed port first, then the edge."""
    board = device(edge_port=edge.port, authority=edge.authority)
    look = board.root / "usr/local/lib/kinflow/fetch"
    real = look.with_name("fetch-real")
    look.rename(real)
    marker = board.root / "looks"
    look.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = look ]; then echo >> {marker}; [ "$(wc -l < {marker})" -ge 4 ] || exit 1; fi\n'
        f'exec {real} "$@"\n'
    )
    look.chmod(0o755)
    done = board.boot()
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("waiting until 127.0.0.1 answers") == 1
    assert len(marker.read_text().splitlines()) == 4


@pytest.mark.parametrize("name", ["first-boot.sh", "zram.sh"])
def test_scripts_are_plain_shell(repository: Path, name: str) -> None:
    """A stock system's sh is dash: no word of bash in them."""
    path = repository / "firmware_configs" / "payload" / name
    for shell in ("/bin/sh", "/bin/bash"):
        done = subprocess.run([shell, "-n", path], capture_output=True, text=True, timeout=10, check=False)
        assert done.returncode == 0, done.stderr
    assert "[[" not in path.read_text()
