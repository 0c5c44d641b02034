"""A bundle of nothing but a tiny Kinflow and the real pip, so that installing it takes seconds."""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import io
import platform
import sys
import zipfile
from base64 import urlsafe_b64encode
from pathlib import Path

from firmware_configs.bundle.make import lay_out_installer
from node.update.bundle import MANIFEST, describe, encode

HERE = "arm64" if platform.machine() == "aarch64" else "x86_64"
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"

PROGRAM = """
import sys

def main():
    words = sys.argv[1:]
    if words == ["--version"]:
        print("kinflow {version}")
    elif words[:1] == ["join"]:
        print("joined", *words[1:])
    elif words and words[0] not in {tiers!r}:
        sys.exit(2)
    else:
        import os
        print(os.environ.get("KINFLOW_HOME"), *words)
"""


def make_bundle(
    folder: Path,
    repository: Path,
    version: str = "9.8.7",
    *,
    arch: str = HERE,
    python: str = PYTHON,
    tiers: tuple[str, ...] = ("agent", "edge", "cloud"),
    variants: tuple[str, ...] = (),
) -> Path:
    """Write it to `folder`/kinflow-<version>-<arch>."""
    made = folder / f"kinflow-{version}-{arch}"
    wheels = made / "wheels"
    wheels.mkdir(parents=True)
    module = PROGRAM.format(version=version, tiers=tiers)
    entry = "[console_scripts]\nkinflow = kinflow:main\n"
    _wheel(wheels, "kinflow", version, {"kinflow.py": module}, {"entry_points.txt": entry})
    _pip(wheels)
    for variant in variants:
        (wheels / "llama" / variant).mkdir(parents=True)
        _wheel(wheels / "llama" / variant, "llama_cpp_python", "1", {"llama_cpp.py": f"BUILD = {variant!r}\n"}, {})
    lay_out_installer(repository, made)
    (made / MANIFEST).write_bytes(encode(describe(made, version, arch, "2026-01-01T00:00:00Z", (python,))))
    return made


def _wheel(folder: Path, name: str, version: str, files: dict[str, str], more: dict[str, str]) -> None:
    info = f"{name}-{version}.dist-info"
    texts = {
        **files,
        **{f"{info}/{path}": text for path, text in more.items()},
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    _zip(folder / f"{name}-{version}-py3-none-any.whl", {path: text.encode() for path, text in texts.items()}, info)


def _pip(folder: Path) -> None:
    """This environment's pip, packed as the wheel that it came from."""
    pip = importlib.metadata.distribution("pip")
    files = {
        str(path): path.locate().read_bytes()
        for path in pip.files or ()
        if str(path).startswith("pip") and "__pycache__" not in str(path) and not str(path).endswith("/RECORD")
    }
    info = next(path.rpartition("/")[0] for path in files if path.endswith(".dist-info/METADATA"))
    _zip(folder / f"pip-{pip.version}-py3-none-any.whl", files, info)


def _zip(path: Path, files: dict[str, bytes], info: str) -> None:
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in files.items():
            digest = urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            rows.writerow((name, f"sha256={digest}", len(data)))
            wheel.writestr(name, data)
        rows.writerow((f"{info}/RECORD", "", ""))
        wheel.writestr(f"{info}/RECORD", record.getvalue())
