"""What a device trusts: real metadata by python-tuf, real signatures, and each way of cheating."""

from __future__ import annotations

import http.server
import json
import shutil
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Root

from node.clock import SystemClock
from node.errors import (
    BundleDamaged,
    DiskSpaceLow,
    UpdateExpired,
    UpdateNotPossible,
    UpdateOlder,
    UpdateUnreachable,
    UpdateUntrusted,
)
from node.trust.authority import Authority
from node.trust.certificates import pem
from node.trust.credentials import Joined, save
from node.trust.csr import make_csr, read_csr
from node.trust.keys import new_key
from node.update import targets as module
from node.update.opening import edge_mirror
from node.update.source import FirstSource, FolderSource, HttpSource, open_source
from node.update.targets import Targets
from protocol.ids import DeviceId
from tests.node.update.conftest import Maintainer, signer

PATH = "kinflow/1.1/x86_64.tar"


def change(path: Path, edit: Callable[[dict[str, object]], object]) -> None:
    """Change signed metadata without the key."""
    found = json.loads(path.read_text())
    edit(found["signed"])
    path.write_text(json.dumps(found))


@pytest.fixture
def tar(maintainer: Maintainer) -> Path:
    return maintainer.release("1.1")


def fetch(device: Targets, to: Path) -> Path:
    found = device.find(PATH)
    assert found is not None
    return device.download(found, to / "bundle.tar")


@contextmanager
def serve(
    folder: Path, handler: type[http.server.SimpleHTTPRequestHandler], tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_what_was_released_is_found_and_fetched(tmp_path: Path, tar: Path, device: Callable[..., Targets]) -> None:
    seen = device()
    assert seen.refresh().version == "1.1"
    assert fetch(seen, tmp_path).read_bytes() == tar.read_bytes()
    assert seen.find("kinflow/9.9/x86_64.tar") is None


def test_the_same_comes_over_http(
    tmp_path: Path, tar: Path, maintainer: Maintainer, device: Callable[..., Targets]
) -> None:
    with serve(maintainer.public, Quiet) as address:
        seen = device(HttpSource(address))
        assert seen.refresh().version == "1.1"
        assert fetch(seen, tmp_path).read_bytes() == tar.read_bytes()
        with pytest.raises(UpdateUnreachable):
            device(HttpSource(f"{address}nowhere/")).refresh()
    with pytest.raises(UpdateUnreachable):
        device(HttpSource(address)).refresh()


def test_a_download_that_was_cut_off_is_gone_on_with(
    tmp_path: Path, tar: Path, maintainer: Maintainer, device: Callable[..., Targets]
) -> None:
    seen = device()
    seen.refresh()
    whole = tar.read_bytes()
    part = tmp_path / "bundle.tar.part"
    part.write_bytes(whole[:4000])
    asked: list[int] = []

    class Counting(FolderSource):
        def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
            asked.append(offset)
            return super().read(path, offset)

    counting = device(Counting(maintainer.public))
    counting.refresh()
    asked.clear()
    assert fetch(counting, tmp_path).read_bytes() == whole
    assert asked == [4000]
    # What was there from before may be wrong: then it is fetched anew.
    (tmp_path / "bundle.tar").unlink()
    part.write_bytes(b"x" * 4000)
    assert fetch(counting, tmp_path).read_bytes() == whole
    assert asked == [4000, 4000, 0]


def test_a_file_that_is_not_what_was_signed_is_refused(
    tmp_path: Path, tar: Path, maintainer: Maintainer, device: Callable[..., Targets]
) -> None:
    (file,) = (maintainer.public / "targets" / "kinflow" / "1.1").iterdir()
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    seen = device()
    seen.refresh()
    with pytest.raises(BundleDamaged):
        fetch(seen, tmp_path)
    file.write_bytes(bytes(data) + b"more")
    with pytest.raises(UpdateUntrusted):
        fetch(seen, tmp_path)
    file.write_bytes(bytes(data[:500]))
    with pytest.raises(UpdateUnreachable):
        fetch(seen, tmp_path)
    assert not (tmp_path / "bundle.tar").exists()


@pytest.mark.parametrize("name", ["timestamp.json", "2.snapshot.json", "2.releases.json"])
def test_metadata_changed_without_its_key_is_refused(
    tar: Path, maintainer: Maintainer, device: Callable[..., Targets], name: str
) -> None:
    change(maintainer.public / "metadata" / name, lambda signed: signed.update(expires="2040-01-01T00:00:00Z"))
    with pytest.raises(UpdateUntrusted):
        device().refresh()


def test_metadata_from_the_past_is_refused(tar: Path, maintainer: Maintainer, device: Callable[..., Targets]) -> None:
    past = maintainer.folder.parent / "past"
    shutil.copytree(maintainer.public, past)
    maintainer.release("1.2")
    assert device().refresh().version == "1.2"
    with pytest.raises(UpdateOlder):
        device(FolderSource(past)).refresh()


def test_what_has_expired_is_refused(
    tar: Path, device: Callable[..., Targets], in_days: Callable[[float], datetime]
) -> None:
    assert device(now=in_days(6)).refresh().version == "1.1"
    with pytest.raises(UpdateExpired):
        device(now=in_days(8)).refresh()


def test_a_clock_that_is_set_back_makes_nothing_valid_again(
    tar: Path, maintainer: Maintainer, device: Callable[..., Targets], in_days: Callable[[float], datetime], monkeypatch
) -> None:
    frozen = maintainer.folder.parent / "frozen"
    shutil.copytree(maintainer.public, frozen)
    # A release of a month later was seen; now the clock of this device says that it is today.
    maintainer.now = in_days(30)
    maintainer.release("1.2")
    assert device(now=in_days(-1000)).refresh().version == "1.2"
    (maintainer.folder.parent / "device" / "timestamp.json").unlink()
    (maintainer.folder.parent / "device" / "snapshot.json").unlink()
    for kept in (maintainer.folder.parent / "device").glob("*.json"):
        if kept.name not in {"floor.json", "root.json"}:
            kept.unlink()
    with pytest.raises((UpdateExpired, UpdateOlder)):
        device(FolderSource(frozen), now=in_days(0)).refresh()


def test_parts_that_do_not_belong_together_are_refused(
    tar: Path, maintainer: Maintainer, device: Callable[..., Targets]
) -> None:
    maintainer.release("1.2")
    metadata = maintainer.public / "metadata"
    shutil.copy(metadata / "2.releases.json", metadata / "3.releases.json")
    with pytest.raises((UpdateUntrusted, UpdateOlder)):
        device().refresh()


def test_a_root_needs_two_of_three_and_the_old_ones_consent(
    tar: Path, maintainer: Maintainer, device: Callable[..., Targets]
) -> None:
    device().refresh()
    stranger = signer()
    root = Metadata[Root].from_bytes(maintainer.root)
    root.signed.version = 2
    root.signatures.clear()
    root.sign(maintainer.roots[0], append=True)
    root.sign(stranger, append=True)
    root.to_file(str(maintainer.public / "metadata" / "2.root.json"))
    with pytest.raises(UpdateUntrusted):
        device().refresh()
    root.sign(maintainer.roots[2], append=True)
    root.to_file(str(maintainer.public / "metadata" / "2.root.json"))
    assert device().refresh().version == "1.1"


def test_another_maintainers_repository_is_refused(tmp_path: Path, tar: Path, device: Callable[..., Targets]) -> None:
    other = Maintainer(tmp_path / "other" / "repository")
    other.release("9.9")
    with pytest.raises(UpdateUntrusted):
        device(FolderSource(other.public)).refresh()


def test_a_full_disk_is_told_before_the_download(
    tmp_path: Path, tar: Path, device: Callable[..., Targets], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = device()
    seen.refresh()
    monkeypatch.setattr(module, "SPARE_MB", 10**9)
    with pytest.raises(DiskSpaceLow):
        fetch(seen, tmp_path)


def test_a_folder_gives_nothing_from_outside_of_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / "link").symlink_to(tmp_path / "secret")
    source = open_source(str(tmp_path / "stick"))
    for path in ("../secret", "/etc/passwd", "link"):
        with pytest.raises(Exception, match="holds no"):
            source.read(path)
    with pytest.raises(UpdateUnreachable):
        open_source("ftp://example.org/")


def test_where_one_mirror_is_away_the_other_answers(
    tmp_path: Path, tar: Path, maintainer: Maintainer, device: Callable[..., Targets]
) -> None:
    with serve(maintainer.public, Quiet) as address:
        away = HttpSource("http://127.0.0.1:9/")
        seen = device(FirstSource([away, HttpSource(address)]))
        assert seen.refresh().version == "1.1"
        assert fetch(seen, tmp_path).read_bytes() == tar.read_bytes()
    with pytest.raises(UpdateUnreachable):
        device(FirstSource([away, HttpSource(address)])).refresh()


def test_a_joined_device_fetches_from_its_edge_by_the_sites_root(
    tmp_path: Path, tar: Path, maintainer: Maintainer
) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "updates").symlink_to(maintainer.public)
    now_ms = SystemClock().wall_ms()
    authority = Authority(tmp_path / "authority", DeviceId("edge-1"), now_ms)
    authority.ensure_server(["127.0.0.1"], now_ms)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.folder / "server.pem", authority.folder / "server.key")
    with serve(tmp_path / "served", Quiet, context) as address:
        join(tmp_path / "home", authority, int(address.rstrip("/").rpartition(":")[2]), now_ms)
        seen = Targets(tmp_path / "device", edge_mirror(tmp_path / "home"), maintainer.root)
        assert seen.refresh().version == "1.1"
        stranger = HttpSource(f"{address}updates/")
        with pytest.raises(UpdateUnreachable, match="certificate"):
            Targets(tmp_path / "other", stranger, maintainer.root).refresh()
    with pytest.raises(UpdateNotPossible):
        edge_mirror(tmp_path / "nobody")


def join(home: Path, authority: Authority, port: int, now_ms: int) -> None:
    key, device = new_key(), DeviceId("pi-1")
    certificate = pem(authority.issue(read_csr(make_csr(key, device, "agent")), now_ms)).decode()
    facts = Joined(device=device, edge=authority.edge, role="agent", hosts=("127.0.0.1",), http_port=port)
    home.mkdir()
    save(home / "trust", key, certificate, authority.ca, facts)
