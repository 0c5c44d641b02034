"""The bad release that fills the disk, run by `bench update` in a mount namespace of its own on a small tmpfs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from benchmarks.update import OLD, _reset, _try_bad
from benchmarks.update_world import Device, Maintainer
from node.broker.address import parse_broker

DISK_MB, ZEROS_MB = 300, 600


def main(address: str) -> None:
    with tempfile.TemporaryDirectory(prefix="kinflow-bench-disk-") as name:
        folder = Path(name)
        (folder / "device").mkdir()
        size = f"size={DISK_MB}m"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder / "device")], check=True)
        maintainer = Maintainer(folder)
        device = Device(folder / "device", parse_broker(f"mqtt://{address}"))
        try:
            device.install(maintainer.bundle(OLD), maintainer.root)
            shutil.copytree(device.places.version(OLD), folder / "pristine", symlinks=True)
            maintainer.release("1.6", zeros_mb=ZEROS_MB)
            _reset(device, folder / "pristine")
            found = _try_bad(device, maintainer.public, "disk")
            print(msgspec.json.encode(found).decode())
        finally:
            device.stop()
            subprocess.run(["umount", str(folder / "device")], check=False)


if __name__ == "__main__":
    main(sys.argv[1])
