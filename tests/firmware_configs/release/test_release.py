"""The maintainers' tools: keys under a passphrase, thresholds, and nothing published before it is wholly signed."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firmware_configs.errors import ReleaseRefused, SbomMisfit
from firmware_configs.release.cli import app
from firmware_configs.release.keys import load_public, load_signer, make_key
from firmware_configs.release.repository import Repository
from firmware_configs.sbom.cyclonedx import Bom, Component, Hash, Metadata, Reference, Tools, bom, decode, encode
from node.update import bundle
from node.update.source import FolderSource
from node.update.targets import Targets

WORDS = "correct horse battery staple"


def test_a_key_is_encrypted_its_owners_alone_and_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "root-1.pem"
    key = make_key(path, WORDS)
    assert b"ENCRYPTED" in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_public(tmp_path / "root-1.pem.pub").keyid == key.keyid == load_signer(path, WORDS).public_key.keyid
    for wrong in ("", "another passphrase"):
        with pytest.raises(ReleaseRefused):
            load_signer(path, wrong)
    with pytest.raises(ReleaseRefused):
        make_key(path, WORDS)
    with pytest.raises(ReleaseRefused):
        make_key(tmp_path / "short.pem", "short")


def listing(version: str, wheels: dict[str, str]) -> Bom:
    """A list of nothing but Kinflow and these wheels of it."""
    files = tuple(
        Reference(type="distribution", url=url, hashes=(Hash(content=digest),)) for url, digest in wheels.items()
    )
    own = Component(type="application", name="kinflow", version=version, bom_ref="kinflow", external_references=files)
    return bom(Metadata(component=own, tools=Tools(components=())), (), ())


def packed(folder: Path, version: str, listed: str = "") -> Path:
    """listed: another hash than the wheel's, for its list."""
    home = folder / f"kinflow-{version}-arm64"
    (home / "wheels").mkdir(parents=True)
    wheel = home / "wheels" / "a.whl"
    wheel.write_bytes(version.encode())
    (home / "sbom.cdx.json").write_bytes(encode(listing(version, {"wheels/a.whl": listed or bundle.digest(wheel)})))
    manifest = bundle.describe(home, version, "arm64", "2026-01-02T03:04:05Z", ("3.11",))
    (home / bundle.MANIFEST).write_bytes(bundle.encode(manifest))
    bundle.pack(home, folder / f"{home.name}.tar")
    return folder / f"{home.name}.tar"


class Desk:
    """docs/releasing.md, command by command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.words = folder / "words"
        self.words.write_text(f"{WORDS}\n")
        self.repository = folder / "repository"

    def run(self, command: str, status: int = 0) -> str:
        filled = command.format(keys=self.folder, repo=self.repository)
        with_words = ["--passphrase-file", str(self.words)] if filled.split()[0] in {"keys", "sign", "publish"} else []
        done = CliRunner().invoke(app, [*filled.split(), *with_words])
        if status:
            assert isinstance(done.exception, ReleaseRefused), done.output
            return str(done.exception)
        assert done.exit_code == 0, done.output + repr(done.exception)
        return done.output

    def begin(self) -> None:
        self.run("keys {keys}/r1 {keys}/r2 {keys}/r3 {keys}/t {keys}/rel {keys}/mod {keys}/online")
        self.run(
            "init {repo} --root {keys}/r1.pub --root {keys}/r2.pub --root {keys}/r3.pub --targets {keys}/t.pub "
            "--releases {keys}/rel.pub --models {keys}/mod.pub --online {keys}/online.pub"
        )

    def device(self) -> Targets:
        root = (self.repository / "public" / "metadata" / "1.root.json").read_bytes()
        return Targets(self.folder / "device", FolderSource(self.repository / "public"), root)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.begin()
    return desk


def sign_all(desk: Desk) -> None:
    for key in ("r1", "r2", "t", "rel", "mod"):
        desk.run(f"sign {{repo}} --key {{keys}}/{key}")


def test_from_keys_to_a_device_that_finds_the_release(desk: Desk, tmp_path: Path) -> None:
    tar = packed(tmp_path, "1.1")
    desk.run("sign {repo} --key {keys}/r1")
    assert "lacks" in desk.run("publish {repo} --key {keys}/online", status=239)
    sign_all(desk)
    desk.run("publish {repo} --key {keys}/online")
    desk.run(f"add {{repo}} {tar}")
    desk.run("current {repo} 1.1")
    model = tmp_path / "m.onnx"
    model.write_bytes(b"weights")
    desk.run(f"model {{repo}} detector/m.onnx {model}")
    assert "lacks" in desk.run("publish {repo} --key {keys}/online", status=239)
    desk.run("sign {repo} --key {keys}/rel")
    desk.run("sign {repo} --key {keys}/mod")
    assert "has no say" in desk.run("publish {repo} --key {keys}/rel", status=239)
    desk.run("publish {repo} --key {keys}/online")
    device = desk.device()
    assert device.refresh().version == "1.1"
    found = device.find("models/detector/m.onnx")
    assert found is not None
    assert device.download(found, tmp_path / "got").read_bytes() == b"weights"
    # What the release is made of is signed beside it.
    listed = device.find("kinflow/1.1-arm64.cdx.json")
    assert listed is not None
    told = decode(device.download(listed, tmp_path / "list").read_bytes())
    assert told.metadata.component.version == "1.1"


def test_a_bundle_without_a_list_that_fits_is_not_released(desk: Desk, tmp_path: Path) -> None:
    sign_all(desk)
    desk.run("publish {repo} --key {keys}/online")
    wrong = packed(tmp_path, "1.1", listed="0" * 64)
    without = packed(tmp_path / "without", "1.1").with_suffix("")
    (without / "sbom.cdx.json").unlink()
    manifest = bundle.describe(without, "1.1", "arm64", "2026-01-02T03:04:05Z", ("3.11",))
    (without / bundle.MANIFEST).write_bytes(bundle.encode(manifest))
    bundle.pack(without, without.with_name(f"{without.name}.tar"))
    for tar, said in ((wrong, r"wheels/a\.whl"), (without.with_name(f"{without.name}.tar"), "holds no")):
        with pytest.raises(SbomMisfit, match=said):
            Repository(desk.repository).add_release(tar)
    assert "releases" not in str([one.name for one in (desk.repository / "draft").glob("*.json")])


def test_what_devices_would_refuse_is_refused_here(desk: Desk, tmp_path: Path) -> None:
    sign_all(desk)
    desk.run("publish {repo} --key {keys}/online")
    for version in ("1.1", "1.0"):
        desk.run(f"add {{repo}} {packed(tmp_path, version)}")
    assert "has been added" in desk.run("current {repo} 1.2", status=239)
    desk.run("current {repo} 1.1")
    assert "not newer" in desk.run("current {repo} 1.0", status=239)
    changed = packed(tmp_path / "other", "1.1")
    changed.write_bytes(b"no bundle")
    with pytest.raises(AssertionError):
        desk.run(f"add {{repo}} {changed}")


def test_keys_change_hands_only_with_the_old_ones_consent(desk: Desk, tmp_path: Path) -> None:
    sign_all(desk)
    desk.run("publish {repo} --key {keys}/online")
    desk.run(f"add {{repo}} {packed(tmp_path, '1.1')}")
    desk.run("current {repo} 1.1")
    desk.run("sign {repo} --key {keys}/rel")
    desk.run("publish {repo} --key {keys}/online")
    assert desk.device().refresh().version == "1.1"
    desk.run("keys {keys}/n1 {keys}/n2 {keys}/n3")
    desk.run(
        "root {repo} --root {keys}/n1.pub --root {keys}/n2.pub --root {keys}/n3.pub --targets {keys}/t.pub "
        "--online {keys}/online.pub"
    )
    for key in ("n1", "n2", "r1"):
        desk.run(f"sign {{repo}} --key {{keys}}/{key}")
    assert "root lacks" in desk.run("publish {repo} --key {keys}/online", status=239)
    desk.run("sign {repo} --key {keys}/r2")
    desk.run("publish {repo} --key {keys}/online")
    assert desk.device().refresh().version == "1.1"
    assert (tmp_path / "device" / "root_history" / "2.root.json").exists()


def test_a_near_end_is_renewed_with_the_online_key_alone(desk: Desk) -> None:
    sign_all(desk)
    desk.run("publish {repo} --key {keys}/online")
    before = (desk.repository / "public" / "metadata" / "timestamp.json").read_bytes()
    desk.run("publish {repo} --key {keys}/online")
    assert (desk.repository / "public" / "metadata" / "timestamp.json").read_bytes() != before
    assert "not published" not in desk.run("status {repo}")
