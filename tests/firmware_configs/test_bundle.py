"""`kinflow bundle`: what is gathered for another machine, from a tree and an index that lie in folders here."""

from __future__ import annotations

import hashlib
import platform
import zipfile
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from firmware_configs.bundle import llama, wheels
from firmware_configs.bundle.make import Order, make
from firmware_configs.bundle.target import NEEDS, TARGETS, here
from firmware_configs.errors import BundleNotMade, LibraryNotBuilt, LicenceRefused, WheelsMissing
from firmware_configs.sbom.cyclonedx import decode
from firmware_configs.sbom.fits import require_list
from kinflow.main import run as kinflow
from node.update.bundle import unpack, verify
from tests.install.tiny_bundle import make_bundle

# Builds a wheel by itself: no index is needed for it.
BACKEND = """
import zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "kinflow-1.2.3-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("kinflow.py", "")
        wheel.writestr("kinflow-1.2.3.dist-info/METADATA", "Metadata-Version: 2.1\\nName: kinflow\\nVersion: 1.2.3\\n")
        wheel.writestr("kinflow-1.2.3.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("kinflow-1.2.3.dist-info/RECORD", "")
    return name
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "kinflow"
version = "1.2.3"
dependencies = ["tiny"]
[project.optional-dependencies]
agent = ["eyes"]
edge = ["desk>=2"]
cloud = []
"""


def wheel(  # noqa: PLR0917
    folder: Path, name: str, version: str, tag: str, licence: str = "MIT", requires: str = ""
) -> None:
    """requires: lines of its metadata."""
    head = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\nLicense-Expression: {licence}\n{requires}"
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as made:
        made.writestr(f"{name}-{version}.dist-info/METADATA", head)
        made.writestr(f"{name}-{version}.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        made.writestr(f"{name}-{version}.dist-info/RECORD", "")


@pytest.fixture
def tree(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone, and an index beside it that pip is pointed at."""
    tree, index = tmp_path / "tree", tmp_path / "index"
    (tree / "firmware_configs").mkdir(parents=True)
    index.mkdir()
    for name in ("install.sh", "firmware_configs/system"):
        (tree / name).symlink_to(repository / name)
    (tree / "pyproject.toml").write_text(PROJECT)
    (tree / "constraints.txt").write_text("tiny==1.0\n")
    (tree / "backend.py").write_text(BACKEND)
    wheel(index, "pip", "99", "py3-none-any")
    for version in ("1.0", "1.1"):
        wheel(index, "tiny", version, "py3-none-any")
    wheel(index, "desk", "2.0", "py3-none-any")
    for tag in (
        *("cp311-cp311-manylinux_2_28_aarch64", "cp312-cp312-manylinux_2_28_aarch64"),
        *("cp311-cp311-manylinux2014_x86_64", "cp311-cp311-musllinux_1_2_aarch64", "cp311-cp311-win_amd64"),
    ):
        wheel(index, "eyes", "3.0", tag)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return tree


def order(tree: Path, arch: str, *pythons: str, tiers: tuple[str, ...] = ("agent",)) -> Order:
    return Order(TARGETS[arch], tree, tiers, pythons, created_s=1_760_000_000, llama=False)


@pytest.mark.timeout(90)
def test_a_bundle_holds_the_wheels_of_that_machine_and_its_installer(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "one.gguf").write_bytes(b"weights")
    wanted = order(tree, "arm64", "3.11", "3.12")
    tar, manifest = make(Order(**{**vars(wanted), "models": tmp_path / "models"}), tmp_path / "out", lambda _: None)
    assert verify(tar.with_suffix("")) == manifest
    assert (manifest.version, manifest.arch, manifest.python) == ("1.2.3", "arm64", ("3.11", "3.12"))
    names = {one.path for one in manifest.files}
    assert {one for one in names if one.startswith("wheels/")} == {
        "wheels/kinflow-1.2.3-py3-none-any.whl",
        "wheels/pip-99-py3-none-any.whl",
        "wheels/tiny-1.0-py3-none-any.whl",  # as constraints.txt says
        "wheels/eyes-3.0-cp311-cp311-manylinux_2_28_aarch64.whl",
        "wheels/eyes-3.0-cp312-cp312-manylinux_2_28_aarch64.whl",
    }
    assert {"install.sh", "system/system.sh", "system/units/kinflow-agent.service", "models/one.gguf"} <= names
    folder, unpacked = unpack(tar, tmp_path / "elsewhere")
    assert unpacked == manifest
    assert (folder / "install.sh").stat().st_mode & 0o100
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == [
        "kinflow-1.2.3-arm64",
        "kinflow-1.2.3-arm64.cdx.json",
        "kinflow-1.2.3-arm64.tar",
    ]
    # The list beside it is the one in it, and says what the bundle holds.
    assert (tmp_path / "out" / "kinflow-1.2.3-arm64.cdx.json").read_bytes() == (folder / "sbom.cdx.json").read_bytes()
    assert require_list(folder, unpacked) == folder / "sbom.cdx.json"
    listed = decode((folder / "sbom.cdx.json").read_bytes())
    assert {one.purl for one in listed.components if one.purl.startswith("pkg:pypi/")} == {
        *("pkg:pypi/eyes@3.0", "pkg:pypi/pip@99", "pkg:pypi/tiny@1.0")
    }
    (eyes,) = [one for one in listed.components if one.name == "eyes"]
    assert [one.url for one in eyes.external_references] == [one for one in sorted(names) if "/eyes-" in one]
    needs = {one.ref: one.depends_on for one in listed.dependencies}
    assert needs["kinflow"] == ("kinflow#models/one.gguf", "pkg:pypi/eyes@3.0", "pkg:pypi/pip@99", "pkg:pypi/tiny@1.0")


@pytest.mark.timeout(60)
def test_a_bundle_with_a_licence_that_is_not_fit_is_not_made(tree: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    (index / "tiny-1.0-py3-none-any.whl").unlink()
    wheel(index, "tiny", "1.0", "py3-none-any", requires="Requires-Dist: deep; python_version >= '3.8'\n")
    wheel(index, "deep", "0.1", "py3-none-any", "GPL-3.0-only")
    with pytest.raises(LicenceRefused, match=r"deep 0\.1.*GPL-3\.0-only"):
        make(order(tree, "arm64", "3.11"), tmp_path / "out", lambda _: None)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.timeout(60)
def test_a_wheel_that_is_not_there_leaves_nothing_behind(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(WheelsMissing, match="eyes"):
        make(order(tree, "x86_64", "3.13"), tmp_path / "out", lambda _: None)
    assert not list((tmp_path / "out").iterdir())


def test_without_a_clone_there_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleNotMade):
        make(order(tmp_path, "arm64", "3.11"), tmp_path / "out", lambda _: None)


def test_each_tier_asks_for_its_own(tree: Path) -> None:
    assert wheels.requirements(tree, ("agent",), llama=False) == ["eyes", "tiny"]
    assert wheels.requirements(tree, ("agent", "edge"), llama=False) == ["desk>=2", "eyes", "tiny"]
    assert set(wheels.LLAMA_NEEDS) < set(wheels.requirements(tree, (), llama=True))


@pytest.mark.parametrize("arch", TARGETS)
def test_no_wheel_asks_for_more_than_the_oldest_system_has(arch: str) -> None:
    tags = TARGETS[arch].platforms
    assert "manylinux_2_35_" + TARGETS[arch].machine == tags[0]
    assert f"manylinux2014_{TARGETS[arch].machine}" in tags
    assert llama.GLIBC_MINOR <= 35


@pytest.mark.parametrize(
    "arguments",
    [["--arch", "mips"], ["--arch", "arm64", "--tier", "moon"], ["--arch", "arm64", "--python", "3.10"], []],
)
def test_a_wrong_call_ends_with_2(arguments: list[str]) -> None:
    assert kinflow(["bundle", *arguments]) == 2


def built(path: Path, library: bytes) -> Path:
    """As scikit-build leaves it: the host's tag, and copies of what CMake installs."""
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("llama_cpp/__init__.py", "")
        made.writestr("llama_cpp/lib/libllama.so", library)
        made.writestr("lib/libllama.so", library)
        made.writestr("include/llama.h", "")
        made.writestr("llama_cpp_python-0.3.36.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-linux_x86_64\n")
        made.writestr("llama_cpp_python-0.3.36.dist-info/METADATA", "Name: llama_cpp_python\n")
        made.writestr("llama_cpp_python-0.3.36.dist-info/RECORD", "")
    return path


def test_a_built_library_is_packed_under_its_true_platform(tmp_path: Path) -> None:
    raw = built(tmp_path / "raw.whl", b"\x7fELF\0GLIBC_2.17\0GLIBC_2.34\0")
    packed = llama._packed(raw, TARGETS["arm64"], tmp_path / "out")
    assert packed.name == "llama_cpp_python-0.3.36-py3-none-manylinux_2_34_aarch64.whl"
    with zipfile.ZipFile(packed) as made:
        names = made.namelist()
        assert not [one for one in names if one.startswith(("lib/", "include/"))]
        info = "llama_cpp_python-0.3.36.dist-info"
        assert "Tag: py3-none-manylinux_2_34_aarch64" in made.read(f"{info}/WHEEL").decode()
        rows = [row.split(",") for row in made.read(f"{info}/RECORD").decode().splitlines()]
        assert sorted(row[0] for row in rows) == sorted(names)
        for name, digest, _size in rows:
            if digest:
                counted = urlsafe_b64encode(hashlib.sha256(made.read(name)).digest()).rstrip(b"=").decode()
                assert digest == f"sha256={counted}"


def test_a_library_that_would_not_load_on_the_oldest_system_is_refused(tmp_path: Path) -> None:
    raw = built(tmp_path / "raw.whl", b"\x7fELF\0GLIBC_2.38\0")
    with pytest.raises(OSError, match=r"glibc 2\.38"):
        llama._packed(raw, TARGETS["arm64"], tmp_path / "out")


def test_without_a_cross_compiler_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    other = TARGETS["arm64" if llama.platform.machine() != "aarch64" else "x86_64"]
    with pytest.raises(LibraryNotBuilt) as told:
        llama.wheels_of(other, tmp_path / "cache", lambda _: None)
    assert f"g++-{other.compiler.rstrip('-')}" in str(told.value)


def test_what_is_in_the_cache_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    target = TARGETS["arm64"]
    place = tmp_path / "llama" / f"{llama.VERSION}-{llama._recipe(target)}"
    for variant in target.variants:
        (place / variant.name).mkdir(parents=True)
        (place / variant.name / "made.whl").touch()
    assert list(llama.wheels_of(target, tmp_path, lambda _: None)) == [one.name for one in target.variants]


def test_the_tiny_bundle_of_other_tests_is_one(tmp_path: Path, repository: Path) -> None:
    assert verify(make_bundle(tmp_path, repository)).version == "9.8.7"


@pytest.mark.parametrize(
    ("told", "machine", "chosen"),
    [
        ("flags\t\t: fpu sse4_2 avx avx2 fma f16c bmi2 amx_int8\n", "x86_64", "x86-64-v3"),
        ("flags\t\t: fpu sse4_2 avx\n", "x86_64", "x86-64-v2"),
        ("Features\t: fp asimd asimddp\n", "aarch64", "armv8.2-a+dotprod"),
        ("Features\t: fp asimd\n", "aarch64", "armv8-a"),
        ("Features\t: fp asimd\n", "riscv64", "plain"),
        ("", "x86_64", "plain"),
    ],
)
def test_a_clone_gets_the_build_that_its_processor_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, machine: str, chosen: str
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{told}")
    monkeypatch.setattr(platform, "machine", lambda: machine)
    target = here(tmp_path / "cpuinfo")
    (variant,) = target.variants
    assert variant.name.startswith(f"{chosen}-glibc-")
    assert target.machine == machine
    known = {one.name: one.flags for kind in TARGETS.values() for one in kind.variants}
    assert variant.flags == known.get(chosen, ())
    assert set(NEEDS) == set(known)


def test_a_clones_own_build_may_need_this_machines_library(tmp_path: Path) -> None:
    raw = built(tmp_path / "raw.whl", b"\x7fELF\0GLIBC_2.39\0")
    packed = llama._packed(raw, TARGETS["x86_64"], tmp_path / "out", minor=None)
    assert packed.name == "llama_cpp_python-0.3.36-py3-none-linux_x86_64.whl"
