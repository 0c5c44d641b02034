"""The files that are dropped onto a boot partition, or beside an installer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from firmware_configs.autoinstall import autoinstall
from firmware_configs.card import card
from firmware_configs.cloud_init import meta_data, network_config, user_data
from firmware_configs.errors import OutUnusable
from firmware_configs.firstrun import cmdline_addition, firstrun
from firmware_configs.order import Order
from firmware_configs.overlay import overlay
from firmware_configs.readme import readme

# A freshly flashed card's boot partition has these, whatever its age; cloud-init's own files tell a newer system.
_BOOT_PARTITION = ("cmdline.txt", "config.txt")
_CLOUD_INIT = ("user-data", "meta-data")
README = "README-kinflow.txt"


@dataclass(frozen=True)
class Written:
    """partition: whether the folder is a card's boot partition, which is ready now. files: as they lie in it."""

    files: tuple[str, ...]
    partition: bool


def boot_files(order: Order) -> Mapping[str, bytes]:
    """Every file by its path in the folder. Pure: the same order gives the same bytes."""
    plan = card(order)
    found: dict[str, str | bytes] = {}
    ways = order.board.ways
    if "cloud-init" in ways:
        seed = "" if order.board.on_card else "seed/"
        found[f"{seed}user-data"] = user_data(order, plan)
        # Without one, cloud-init asks for an address on the first cable by itself, on whatever a system renders with.
        if order.wifi or order.board.on_card:
            found[f"{seed}network-config"] = network_config(order)
        found[f"{seed}meta-data"] = meta_data(order)
    if "firstrun" in ways:
        found["firstrun.sh"] = firstrun(order, plan)
        found["cmdline-addition.txt"] = cmdline_addition(order) + "\n"
    if "autoinstall" in ways:
        found["autoinstall/user-data"] = autoinstall(order, plan)
        found["autoinstall/meta-data"] = meta_data(order)
    if "overlay" in ways:
        found["kinflow-overlay.tar"] = overlay(order, plan)
    found[README] = readme(order)
    return {name: one.encode() if isinstance(one, str) else one for name, one in found.items()}


def write(order: Order, folder: Path, bundle: Path | None = None) -> Written:
    """Write them into a new or empty folder, or onto a card's boot partition, whose command line is completed where
    its system needs that. bundle: a file that is copied beside them. Raises OutUnusable (KF235)."""
    partition = order.board.on_card and all((folder / name).is_file() for name in _BOOT_PARTITION)
    files = dict(boot_files(order))
    try:
        if not partition and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise OutUnusable(path=folder, detail="there is something in it already")
        if partition:
            _fit_to(folder, files)
        for name, content in files.items():
            target = folder / PurePosixPath(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            _write_private(target, content)
        if bundle is not None:
            _copy(bundle, folder / bundle.name)
            files[bundle.name] = b""
    except OSError as error:
        raise OutUnusable(path=error.filename or folder, detail=error.strerror or str(error)) from error
    return Written(tuple(files), partition)


def _fit_to(folder: Path, files: dict[str, bytes]) -> None:
    """Keep what the system on this card reads, and complete its command line."""
    newer = all((folder / name).is_file() for name in _CLOUD_INIT)
    addition = files.pop("cmdline-addition.txt").decode().strip()
    if newer:
        files.pop("firstrun.sh")
        # cloud-init takes the rest; the radio's country alone is asked for by the kernel.
        addition = " ".join(one for one in addition.split() if one.startswith("cfg80211."))
    else:
        for name in ("user-data", "network-config", "meta-data"):
            files.pop(name)
    files["cmdline.txt"] = f"{with_addition((folder / 'cmdline.txt').read_text('ascii'), addition)}\n".encode()


def with_addition(line: str, addition: str) -> str:
    """The kernel's command line with parameters of ours in place of earlier values of the same."""
    names = {one.partition("=")[0] for one in addition.split()}
    kept = [one for one in re.split(r"\s+", line.strip()) if one.partition("=")[0] not in names]
    return " ".join([*kept, *addition.split()]).strip()


def _write_private(target: Path, content: bytes) -> None:
    """Readable by its owner alone, where the file system knows owners: a FAT partition does not."""
    if not target.exists():
        target.touch(mode=0o600)
    target.write_bytes(content)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as read, target.open("wb") as write_to:
        while chunk := read.read(1 << 20):
            write_to.write(chunk)
