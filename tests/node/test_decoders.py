"""Whatever comes from outside is a value or a clear error, never anything else. What lies elsewhere: messages, topics
and the site file in tests/protocol, broker addresses and settings beside their tests, codes in tests/node/trust,
bundles in tests/node/update. docs/accounts.md lists them all."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from zeroconf import ServiceInfo

from node.discovery import SERVICE, EdgeFound, read_edge
from node.errors import EdgeNotReached
from node.trust.asking import Asker
from node.trust.authority import Authority
from node.trust.credentials import load_folder
from node.trust.csr import make_csr, read_csr
from node.trust.signed_request import RequestVerifier, sign_request
from node.trust.wire import Root
from node.update.journal import load_journal
from protocol.errors import KinflowError
from protocol.ids import DeviceId, is_slug

KEYS = st.sampled_from([b"edge", b"http", b"v", b"odd"])
VALUES = st.one_of(st.none(), st.binary(max_size=40), st.integers().map(lambda n: str(n).encode()))
NOW_MS = 1_760_000_000_000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
CSR = make_csr(ec.generate_private_key(ec.SECP256R1()), DeviceId("pi-1"), "agent")


@given(st.dictionaries(KEYS, VALUES), st.integers(0, 65535), st.lists(st.binary(min_size=4, max_size=4), max_size=2))
@example({b"edge": b"e", b"http": b"8800", b"v": b"1" * 240}, 1883, [b"\x7f\0\0\1"])
@example({b"edge": b"e", b"http": "\u0663".encode(), b"v": b"1"}, 1883, [b"\x7f\0\0\1"])
def test_any_answer_of_dns_sd_is_an_edge_or_none(
    properties: dict[bytes, bytes | None], port: int, addresses: list[bytes]
) -> None:
    info = ServiceInfo(SERVICE, f"x.{SERVICE}", port, addresses=addresses, properties=properties)
    found = read_edge(info)
    if found is not None:
        assert isinstance(found, EdgeFound)
        assert is_slug(found.edge)
        assert 0 < found.http_port < 1 << 16


@given(st.text(max_size=2_000) | st.binary(max_size=400).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_a_csr_or_a_clear_error(text: str) -> None:
    with pytest.raises(KinflowError):
        read_csr(text)


@given(st.integers(0, len(CSR) - 1), st.integers(0, 40), st.text(max_size=5))
def test_a_damaged_csr_is_a_csr_or_a_clear_error(at: int, length: int, put: str) -> None:
    with suppress(KinflowError):
        assert read_csr(CSR[:at] + put + CSR[at + length :]).device == "pi-1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outside")


@pytest.fixture(scope="module")
def signed(folder: Path) -> tuple[RequestVerifier, dict[str, str]]:
    """A verifier, and headers that it takes."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = Authority(folder / "authority", DeviceId("edge-1"), NOW_MS)
    certificate = authority.issue(read_csr(make_csr(key, DeviceId("pi-1"), "agent")), NOW_MS)
    verifier = RequestVerifier(authority.root, lambda _known, _now_ms: "")
    pem = certificate.public_bytes(Encoding.PEM).decode("ascii")
    headers = sign_request(key, pem, authority.ca, "POST", "/x", b"body", NOW_MS)
    return verifier, headers


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_headers_are_no_signature(signed: tuple[RequestVerifier, dict[str, str]], data: st.DataObject) -> None:
    verifier, good = signed
    name = data.draw(st.sampled_from(sorted(good)))
    at, length = data.draw(st.integers(0, len(good[name]))), data.draw(st.integers(0, 300))
    put = data.draw(st.text(max_size=60))
    value = good[name][:at] + put + good[name][at + length :]
    try:
        verifier.verify("POST", "/x", {**good, name: value}, b"body", NOW_MS)
    except KinflowError:
        return
    # What is the same once it is read (a leading zero, a spare bit of base64) may pass, once.
    assert name != "kinflow-nonce" or value == good[name]


def damaged(whole: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Any bytes, any JSON, and one with a field that is something else."""
    odd = st.tuples(st.sampled_from([*whole, "more"]), JSON).map(lambda pair: {**whole, pair[0]: pair[1]})
    return st.binary(max_size=200) | (JSON | odd).map(lambda value: json.dumps(value).encode())


JOINED = {"device": "pi-1", "edge": "edge-1", "role": "agent", "hosts": ["192.0.2.1"], "http_port": 8800}


@given(data=damaged(JOINED))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_joined_file_is_credentials_or_a_clear_error(folder: Path, data: bytes) -> None:
    for name in ("key.pem", "certificate.pem", "ca.pem"):
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o600)
    (folder / "joined.json").write_bytes(data)
    with suppress(KinflowError):
        load_folder(folder)


@given(data=damaged({"format": 1, "state": "idle", "version": "1.0.0", "reason": None, "step": "none"}))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_journal_of_an_update_is_one_or_none_or_a_clear_error(folder: Path, data: bytes) -> None:
    path = folder / "state.json"
    path.write_bytes(data)
    with suppress(KinflowError):
        load_journal(path)


@pytest.mark.parametrize("status", [200, 403])
@pytest.mark.parametrize("body", ["[" * 60_000, '{"edge": "x", "more": ' + "[" * 60_000, "\x00", "{}"])
def test_whatever_answers_in_an_edge_servers_place_is_no_fault_of_ours(status: int, body: str) -> None:
    """It is asked before anything is known of it; a nest of brackets ends parsers that follow it down."""

    class Impostor(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Impostor) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(EdgeNotReached):
            Asker("127.0.0.1", server.server_port, None).get("/ca", Root)
        thread.join()
