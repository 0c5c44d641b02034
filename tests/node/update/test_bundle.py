"""Bundles: what is made is read back, and what is not as its list says is refused without a trace."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import BundleDamaged, BundleMalformed, BundleUnsafe, DiskSpaceLow
from node.update import bundle
from protocol.errors import KinflowError

FILES = {
    "wheels/kinflow-1.2-py3-none-any.whl": b"wheel" * 1000,
    "models/m.onnx": b"\0" * 10,
    "install.sh": b"#!/bin/sh\n",
}


def made(folder: Path, files: dict[str, bytes] = FILES) -> Path:
    home = folder / "kinflow-1.2-arm64"
    for name, data in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(data)
    manifest = bundle.describe(home, "1.2", "arm64", "2026-01-02T03:04:05Z", ("3.11", "3.13"))
    (home / bundle.MANIFEST).write_bytes(bundle.encode(manifest))
    return home


def manifest_of(home: Path) -> dict[str, object]:
    return json.loads((home / bundle.MANIFEST).read_text())


def tar_of(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def members_of(home: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    names = [bundle.MANIFEST, *FILES]
    return [(tarfile.TarInfo(f"{home.name}/{name}"), (home / name).read_bytes()) for name in names]


def test_what_is_packed_is_unpacked(tmp_path: Path) -> None:
    home = made(tmp_path)
    (home / "install.sh").chmod(0o755)
    packed = bundle.pack(home, tmp_path / "one.tar")
    again, found = bundle.unpack(tmp_path / "one.tar", tmp_path / "there")
    assert found == packed == bundle.verify(again)
    assert found.name == again.name == "kinflow-1.2-arm64"
    assert {name: (again / name).read_bytes() for name in FILES} == FILES
    assert (again / "install.sh").stat().st_mode & 0o100
    assert found.size == sum(map(len, FILES.values()))


def test_packing_depends_on_the_files_alone(tmp_path: Path) -> None:
    for name in ("a", "b"):
        bundle.pack(made(tmp_path / name), tmp_path / f"{name}.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/etc/passwd",
        "a/../../x",
        "a//b",
        "./x",
        "a/.",
        "",
        "a\\b",
        "c:x",
        "a\0b",
        "nul\n",
        ".hidden",
        "a/b ",
        "bundle.json",
    ],
)
def test_a_name_that_leaves_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    home = made(tmp_path)
    listed = manifest_of(home)
    listed["files"] = [{"path": name, "sha256": "0" * 64, "size": 0}]
    with pytest.raises((BundleUnsafe, BundleMalformed)):
        bundle.read_manifest(json.dumps(listed).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": "1"},
        {"version": "1.2/../3"},
        {"version": "v1"},
        {"version": "1.2\n"},
        {"arch": "arm64\n"},
        {"arch": "../x"},
        {"created": "yesterday"},
        {"python": []},
        {"extra": 1},
        {"files": [{"path": "a", "sha256": "0" * 64, "size": -1}]},
        {"files": [{"path": "a", "sha256": "XY", "size": 1}]},
        {"files": [{"path": "a", "sha256": "0" * 64, "size": 1}, {"path": "A", "sha256": "0" * 64, "size": 1}]},
        {"files": [{"path": "a", "sha256": "0" * 64, "size": 1}, {"path": "a/b", "sha256": "0" * 64, "size": 1}]},
    ],
)
def test_a_list_that_is_not_strict_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    listed = manifest_of(made(tmp_path)) | change
    with pytest.raises(BundleMalformed):
        bundle.read_manifest(json.dumps(listed).encode())


def test_a_folder_with_more_less_or_other_bytes_is_refused(tmp_path: Path) -> None:
    home = made(tmp_path)
    (home / "stray").write_bytes(b"")
    with pytest.raises(BundleUnsafe):
        bundle.verify(home)
    (home / "stray").unlink()
    (home / "link").symlink_to("/etc/passwd")
    with pytest.raises(BundleUnsafe):
        bundle.verify(home)
    (home / "link").unlink()
    (home / "models/m.onnx").write_bytes(b"\1" + b"\0" * 9)
    with pytest.raises(BundleDamaged, match="SHA-256"):
        bundle.verify(home)
    (home / "models/m.onnx").unlink()
    with pytest.raises(BundleDamaged, match="missing"):
        bundle.verify(home)
    (home / bundle.MANIFEST).unlink()
    with pytest.raises(BundleMalformed):
        bundle.verify(home)


def _link(info: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return info, b""


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda found: found[1:], BundleMalformed),
        (lambda found: found[:-1], BundleDamaged),
        (lambda found: [*found, (tarfile.TarInfo("../../escaped"), b"x")], BundleUnsafe),
        (lambda found: [*found, (tarfile.TarInfo("/tmp/escaped"), b"x")], BundleUnsafe),
        (lambda found: [*found, found[-1]], BundleUnsafe),
        (lambda found: [*found[:-1], _link(*found[-1])], BundleUnsafe),
        (lambda found: [*found[:-1], (found[-1][0], b"#!/bin/sl\n")], BundleDamaged),
        (lambda found: [*found[:-1], (found[-1][0], b"longer than it is listed")], BundleDamaged),
    ],
)
def test_a_tar_that_is_not_as_its_list_says_leaves_nothing(tmp_path: Path, spoil, error: type[KinflowError]) -> None:
    home = made(tmp_path / "from")
    tar = tar_of(tmp_path / "bad.tar", spoil(members_of(home)))
    into = tmp_path / "into"
    with pytest.raises(error):
        bundle.unpack(tar, into)
    assert list(into.iterdir()) == []
    assert not (tmp_path / "escaped").exists()


@given(cut=st.floats(0.0, 1.0, exclude_max=True))
def test_a_tar_that_is_cut_off_is_refused(tmp_path_factory: pytest.TempPathFactory, cut: float) -> None:
    folder = tmp_path_factory.mktemp("cut")
    home = made(folder)
    bundle.pack(home, folder / "whole.tar")
    # What tar pads its end with is no content.
    data = (folder / "whole.tar").read_bytes().rstrip(b"\0")
    (folder / "cut.tar").write_bytes(data[: int(cut * len(data))])
    with pytest.raises((BundleMalformed, BundleDamaged)):
        bundle.unpack(folder / "cut.tar", folder / "into")


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_list_or_a_coded_refusal(data: bytes) -> None:
    try:
        bundle.read_manifest(data)
    except (BundleMalformed, BundleUnsafe):
        return


def test_a_disk_without_room_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle.pack(made(tmp_path), tmp_path / "one.tar")
    monkeypatch.setattr(bundle, "SPARE_MB", 10**9)
    with pytest.raises(DiskSpaceLow):
        bundle.unpack(tmp_path / "one.tar", tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []
