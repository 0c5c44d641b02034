"""Bundles on an edge server's shelf: which is handed out, and that the one line installs it or nothing."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from edge_server.bundles.one_line import line, pin
from edge_server.bundles.shelf import Shelf
from edge_server.cli import app
from edge_server.gateway.app import Gateway
from edge_server.gateway.server import GatewayServer
from node.errors import NotServedYet
from node.update.bundle import pack
from tests.edge_server.gateway.demo_edge import DemoEdge
from tests.install.tiny_bundle import HERE, make_bundle

# For machines without curl: what the script asks of it, by Python's own library.
CURL = f"""#!{sys.executable}
import sys, urllib.request
words = sys.argv[1:]
target, url = words[words.index("-o") + 1], words[-1]
open(target, "wb").write(urllib.request.urlopen(url).read())
"""


class Serving:
    """A gateway with a shelf. `install` runs the script that it hands out, below a folder of its own."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.shelf = folder / "bundles"
        self.shelf.mkdir()
        self.edge = DemoEdge(folder / "edge")
        self.server = GatewayServer(Gateway(replace(self.edge.context, bundles=self.shelf)), port=0)
        self.server.start()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.server.port}", trust_env=False)
        self._folder, self._repository = folder, repository

    def put(self, version: str, arch: str = HERE) -> Path:
        made = make_bundle(self._folder / "made", self._repository, version, arch=arch)
        tar = self.shelf / f"{made.name}.tar"
        pack(made, tar)
        shutil.rmtree(made)
        return tar

    def install(self, script: str) -> subprocess.CompletedProcess[str]:
        tools = self._folder / "tools"
        tools.mkdir(exist_ok=True)
        if shutil.which("curl") is None:
            (tools / "curl").write_text(CURL)
            (tools / "curl").chmod(0o755)
        environment = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "HOME": str(self._folder),
            "TMPDIR": str(self._folder),
            "KINFLOW_PREFIX": str(self._folder / "root"),
            "KINFLOW_PYTHON": sys.executable,
        }
        return subprocess.run(
            ["sh", "-s", "--", "agent"], input=script, env=environment, capture_output=True, text=True, check=False
        )

    def close(self) -> None:
        self.client.close()
        self.server.stop()
        self.edge.close()


@pytest.fixture
def serving(tmp_path: Path, repository: Path) -> Iterator[Serving]:
    serving = Serving(tmp_path, repository)
    yield serving
    serving.close()


def test_the_newest_of_each_processor_is_handed_out_without_an_account(serving: Serving) -> None:
    assert serving.client.get("/bundles/arm64.tar").status_code == 404
    for version in ("1.9.0", "1.10.0"):
        serving.put(version, "arm64")
    (serving.shelf / "kinflow-9.0.0-arm64.tar.part").write_bytes(b"half")
    (serving.shelf / "kinflow-..-arm64.tar").write_bytes(b"odd")
    answer = serving.client.get("/bundles/arm64.tar")
    assert answer.status_code == 200
    assert answer.headers["x-kinflow-version"] == "1.10.0"
    assert answer.headers["x-kinflow-sha256"] == hashlib.sha256(answer.content).hexdigest()
    # A download that was cut off is gone on with.
    rest = serving.client.get("/bundles/arm64.tar", headers={"Range": "bytes=1000-"})
    assert (rest.status_code, rest.content) == (206, answer.content[1000:])
    for name in ("x86_64.tar", "arm64", "mips.tar"):
        assert serving.client.get(f"/bundles/{name}").status_code == 404
    assert serving.client.get("/bundles/..%2f..%2fedge-token").status_code == 401


@pytest.mark.timeout(90)
def test_the_script_installs_what_the_edge_server_named_and_nothing_else(serving: Serving, tmp_path: Path) -> None:
    tar = serving.put("1.2.0")
    script = serving.client.get("/install").text
    # Cut off anywhere, it does nothing.
    half = serving.install(script[: script.rindex("main ")])
    assert (half.returncode, half.stdout) == (0, "")
    whole = tar.read_bytes()
    tar.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    refused = serving.install(script)
    assert refused.returncode == 242
    assert "KF242" in refused.stderr
    assert not (tmp_path / "root").exists()
    tar.write_bytes(whole)
    done = serving.install(script)
    assert done.returncode == 0, done.stderr
    assert os.readlink(tmp_path / "root/opt/kinflow/current") == "versions/1.2.0"
    # Nothing of the download is left.
    assert not list(tmp_path.glob("kinflow-install.*"))


def test_an_edge_server_without_a_bundle_says_so(serving: Serving) -> None:
    done = serving.install(serving.client.get("/install").text)
    assert done.returncode == 241
    assert f"kinflow bundle --arch {HERE}" in done.stderr


def certificate(folder: Path) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edge-1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True)
    (folder / "server.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return key


def test_the_line_pins_the_servers_key_and_quotes_what_is_odd(tmp_path: Path) -> None:
    key = certificate(tmp_path / "authority")
    pinned = pin(tmp_path / "authority" / "server.pem")
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert b64decode(pinned.removeprefix("sha256//")) == hashlib.sha256(spki).digest()
    words = shlex.split(line("fe80::1", 8800, pinned, "a code; rm -rf /"))
    assert words[:5] == ["curl", "-fsSk", "--pinnedpubkey", pinned, "https://[fe80::1]:8800/install"]
    assert words[5:] == ["|", *["sudo", "sh", "-s", "--", "agent", "--edge", "fe80::1", "--join"], "a code; rm -rf /"]
    said = CliRunner().invoke(app, ["install-line", "--host", "closet.lan", "--code", "AB12", "--home", str(tmp_path)])
    assert said.output.strip() == line("closet.lan", 8800, pinned, "AB12")


def test_without_a_certificate_there_is_no_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["install-line", "--home", str(tmp_path)])
    assert isinstance(done.exception, NotServedYet)


def test_a_folder_that_is_not_there_is_an_empty_shelf(tmp_path: Path) -> None:
    assert Shelf(tmp_path / "nowhere").newest("arm64") is None
    assert Shelf(None).newest("arm64") is None
