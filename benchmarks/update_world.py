"""A device to be updated, and a maintainer who releases: real environments, real signatures, real processes.

The prefix, the launcher, the boot selector, the updater and the agent are those of a device. What is spared is time: a
release's bundle holds Kinflow's own wheel and a .pth file that lends the libraries of this very environment.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path

import cv2
import numpy as np
import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

import firmware_configs
from firmware_configs.release.repository import Holders, Repository
from node.broker.address import format_broker
from node.broker.port import BrokerAddress
from node.child import dying_with_parent
from node.update import bundle
from node.update.cli import machine_arch
from node.update.durable import replace_link
from node.update.environment import clean_environment, make_version
from node.update.health import HealthReport, read_reports
from node.update.journal import Journal, load_journal
from node.update.places import Places

ROOT = Path(firmware_configs.__file__).parent.parent
SELECTOR = ROOT / "firmware_configs" / "system" / "select_version.py"
PACKAGES = ("agent", "kinflow", "models", "node", "protocol")
CAMERA = "cam-1"
START_S = 60.0
RESTART_PAUSE_S = 0.3

Patches = Mapping[str, str]


class Device:
    """One machine: its prefix, its home, and the little of a service manager that it takes to run it."""

    def __init__(self, folder: Path, broker: BrokerAddress) -> None:
        self.folder = folder
        self.places = Places(folder / "opt" / "kinflow", folder / "var")
        self.launcher = self.places.prefix / "bin" / "kinflow"
        self._log = folder / "device.log"
        self._agent: subprocess.Popen[bytes] | None = None
        self._updater: subprocess.Popen[bytes] | None = None
        self._agent_wanted = False
        # As kinflow-update.path does; the kills want the updater to themselves.
        self.watches_wishes = False
        self._spawned: list[subprocess.Popen[bytes]] = []
        self._start_at_s = 0.0
        self._restart_stamp = 0
        self._started_ms = 0
        self._write_files(broker)

    # What install.sh sets up

    def install(self, bundle_folder: Path, root: bytes) -> str:
        manifest = bundle.verify(bundle_folder)
        make_version(bundle_folder, manifest, self.places)
        replace_link(self.places.current, f"versions/{manifest.version}")
        (self.places.folder / "root.json").write_bytes(root)
        return manifest.version

    def set_source(self, place: str) -> None:
        """update.source of kinflow.toml."""
        path = self.places.home / "kinflow.toml"
        path.write_text(path.read_text() + f'source = "{place}"\n')

    def _write_files(self, broker: BrokerAddress) -> None:
        for path in (self.launcher.parent, self.places.versions, self.places.folder):
            path.mkdir(parents=True, exist_ok=True)
        shutil.copy(SELECTOR, self.launcher.parent / SELECTOR.name)
        self.launcher.write_text(
            "#!/bin/sh\n"
            f"version=$({sys.executable} -I {self.launcher.parent}/{SELECTOR.name} {self.places.prefix} "
            f'{self.places.home} "$@") || exit 1\n'
            'exec "$version/bin/kinflow" "$@"\n'
        )
        self.launcher.chmod(0o755)
        clip = self.places.home / "road.avi"
        writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 5.0, (160, 120))
        for number in range(20):
            writer.write(np.full((120, 160, 3), 90 + number, np.uint8))
        writer.release()
        url = format_broker(broker, with_password=True)
        (self.places.home / "kinflow.toml").write_text(
            f'[device]\nid = "bench-device"\n[broker]\nurl = "{url}"\n[log]\nlevel = "warning"\n'
            f'[[agent.cameras]]\nid = "{CAMERA}"\nsource = "{clip}"\n'
            f"[update]\ngate_s = 1.5\ntrial_s = {TRIAL_S}\n"
        )

    # A little of systemd

    def turn(self) -> None:
        """Restart what ended, and what is to be restarted; called again and again."""
        with suppress(OSError):
            stamp = self.places.restart.stat().st_mtime_ns
            if stamp != self._restart_stamp:
                self._restart_stamp = stamp
                self._end(self._agent, signal.SIGTERM)
                self._agent, self._start_at_s = None, 0.0
        if self._agent is not None and self._agent.poll() is not None:
            self._agent, self._start_at_s = None, time.monotonic() + RESTART_PAUSE_S
        if self._agent is None and self._agent_wanted and time.monotonic() >= self._start_at_s:
            self._started_ms = time.monotonic_ns() // 1_000_000
            self._agent = self._spawn("agent", "run", "--no-page")
        if self._updater is not None and self._updater.poll() is not None:
            self._updater = None
        if self._updater is None and self.watches_wishes and self.places.wanted.exists():
            self.update(None)

    def start_agent(self) -> None:
        self._agent_wanted, self._start_at_s = True, 0.0
        self.turn()

    def update(self, source: Path | str | None) -> None:
        """Start the updater: with a wish, or (None) as the timer does."""
        command = ["update", "now", "--source", str(source)] if source is not None else ["update", "run"]
        self._updater = self._spawn(*command)

    @property
    def updating(self) -> bool:
        return self._updater is not None and self._updater.poll() is None

    def kill(self, what: str) -> None:
        """kill -9: the updater, the agent, or (`power`) all at once."""
        if what in {"updater", "power"}:
            self._end(self._updater, signal.SIGKILL)
            self._updater = None
        if what in {"agent", "power"}:
            self._end(self._agent, signal.SIGKILL)
            self._agent = None
        self._start_at_s = 0.0

    def stop(self) -> None:
        self._agent_wanted = False
        self.kill("power")
        for process in self._spawned:
            self._end(process, signal.SIGKILL)
        self._spawned.clear()

    def _spawn(self, *words: str) -> subprocess.Popen[bytes]:
        environment = clean_environment(KINFLOW_HOME=str(self.places.home))
        environment = {name: value for name, value in environment.items() if name != "KINFLOW_PREFIX"}
        with self._log.open("ab") as log:
            command = dying_with_parent([str(self.launcher), *words])
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
            self._spawned.append(process)
            return process

    @staticmethod
    def _end(process: subprocess.Popen[bytes] | None, number: signal.Signals) -> None:
        """The whole group, and the self-test with it, which has one of its own: a power cut spares nobody, and neither
        does systemd when a unit's process was killed."""
        if process is None:
            return
        children: list[psutil.Process] = []
        if number == signal.SIGKILL:
            # Nothing goes on from here, while the others are looked for.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGSTOP)
            with suppress(psutil.Error):
                children = psutil.Process(process.pid).children(recursive=True)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        for child in children:
            with suppress(psutil.Error):
                child.kill()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    # What is seen from outside

    def journal(self) -> Journal | None:
        return load_journal(self.places.journal)

    def phase(self) -> str:
        found = self.journal()
        return found.phase if found else "idle"

    def report(self) -> HealthReport | None:
        return read_reports(self.places.home, this_boot=True).get("agent")

    def comes_up(self) -> HealthReport | None:
        """The word of the agent that runs now that it works (link up, camera running); None when it never comes."""
        self.turn()

        def works() -> bool:
            report = self.report()
            alive = self._agent is not None and self._agent.poll() is None
            fresh = alive and report is not None and report.at_mono_ms > self._started_ms
            return fresh and report.link_up and report.cameras.get(CAMERA) == "running"

        return self.report() if self.wait(works, START_S) else None

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.turn()
            time.sleep(0.05)
        return True

    def log_tail(self) -> str:
        with suppress(OSError):
            return self._log.read_text("utf-8", errors="replace")[-2000:]
        return ""


# Long enough for a start on a machine that is busy otherwise.
TRIAL_S = 45.0


@dataclass
class Maintainer:
    """Keys in memory, root 2 of 3, and a repository on the disk. packages: what of Kinflow its wheels hold."""

    folder: Path
    packages: tuple[str, ...] = PACKAGES
    current: str | None = None
    _keys: dict[str, CryptoSigner] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = ("root-1", "root-2", "root-3", "targets", "releases", "models", "online")
        self._keys = {name: CryptoSigner(Ed25519PrivateKey.generate()) for name in names}
        public = {name: key.public_key for name, key in self._keys.items()}
        self.repository.init(
            Holders([public[f"root-{number}"] for number in (1, 2, 3)], 2),
            Holders([public["targets"]], 1),
            {role: Holders([public[role]], 1) for role in ("releases", "models")},
            public["online"],
        )
        self.publish()

    @property
    def repository(self) -> Repository:
        return Repository(self.folder / "repository")

    @property
    def public(self) -> Path:
        return self.folder / "repository" / "public"

    @property
    def root(self) -> bytes:
        return (self.public / "metadata" / "1.root.json").read_bytes()

    def bundle(self, version: str, patches: Patches | None = None, zeros_mb: int = 0) -> Path:
        """A bundle's folder. patches: what is added to the end of a module; zeros_mb: of a file that packs well."""
        home = self.folder / "bundles" / f"kinflow-{version}-{machine_arch()}"
        wheels = home / "wheels"
        wheels.mkdir(parents=True)
        kinflow_wheel(wheels, version, patches or {}, zeros_mb, self.packages)
        pip_wheel(wheels)
        lent = sysconfig.get_paths()["purelib"]
        write_wheel(wheels, "kinflow_bench_lent", "1", {"kinflow_bench_lent.pth": f"{lent}\n".encode()})
        python = f"{sys.version_info[0]}.{sys.version_info[1]}"
        manifest = bundle.describe(home, version, machine_arch(), "2026-01-02T03:04:05Z", (python,))
        (home / bundle.MANIFEST).write_bytes(bundle.encode(manifest))
        return home

    def release(
        self, version: str, patches: Patches | None = None, zeros_mb: int = 0, even_older: bool = False
    ) -> Path:
        """Sign a version and make it current; returns the published target's file. even_older: as a maintainer does who
        errs, or whose key was taken."""
        home = self.bundle(version, patches, zeros_mb)
        tar = home.with_name(f"{home.name}.tar")
        bundle.pack(home, tar)
        self.repository.add_bundle(tar)
        self.repository.set_current(version, even_older)
        self.publish()
        folder = self.public / "targets" / "kinflow" / version
        return next(folder.glob("*.tar"))

    def publish(self) -> None:
        for name in ("root-1", "root-2", "targets", "releases", "models"):
            self.repository.sign(self._keys[name])
        self.repository.publish(self._keys["online"])


# Wheels, made without a build system: a zip with a list.


def kinflow_wheel(
    folder: Path, version: str, patches: Patches, zeros_mb: int, packages: tuple[str, ...] = PACKAGES
) -> None:
    files = {
        str(path.relative_to(ROOT)): path.read_bytes()
        for package in packages
        for path in sorted((ROOT / package).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    for name, text in patches.items():
        files[name] += f"\n{text}\n".encode()
    if zeros_mb:
        files["models/ballast.bin"] = bytes(zeros_mb * 1_000_000)
    entry = {"entry_points.txt": b"[console_scripts]\nkinflow = kinflow.main:main\n"}
    write_wheel(folder, "kinflow", version, files, entry)


def pip_wheel(folder: Path) -> None:
    """pip as it is installed here; as a zip it installs the others."""
    found = distribution("pip")
    files = {
        str(one): Path(str(one.locate())).read_bytes()
        for one in found.files or ()
        if one.parts[0] == "pip" and "__pycache__" not in one.parts
    }
    write_wheel(folder, "pip", found.version, files)


def write_wheel(
    folder: Path, name: str, version: str, files: Mapping[str, bytes], info: Mapping[str, bytes] | None = None
) -> None:
    home = f"{name}-{version}.dist-info"
    contents = {
        **files,
        f"{home}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{home}/WHEEL": b"Wheel-Version: 1.0\nGenerator: kinflow\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **{f"{home}/{key}": value for key, value in (info or {}).items()},
    }
    lines = [f"{path},sha256={_record_hash(data)},{len(data)}" for path, data in contents.items()]
    contents[f"{home}/RECORD"] = "\n".join([*lines, f"{home}/RECORD,,", ""]).encode()
    with zipfile.ZipFile(
        folder / f"{name}-{version}-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED, compresslevel=1
    ) as file:
        for path, data in contents.items():
            file.writestr(path, data)


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def last_code(device: Device) -> str | None:
    """The reason of the last outcome, as `kinflow update status --json` tells it to anybody."""
    environment = clean_environment(KINFLOW_HOME=str(device.places.home))
    command = [str(device.launcher), "update", "status", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=60)
    last = json.loads(done.stdout)["last"]
    return last["reason"]["code"] if last and last["reason"] else None
