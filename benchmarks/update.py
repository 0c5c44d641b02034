"""`kinflow bench update`: killed at random moments, or given bad releases, a device comes up in a working version.

Two proofs on real processes. First a good release is installed again and again, fetched from a slow server, and the
updater, the agent or both are killed with -9 at moments that are drawn by stage and then evenly within it
(benchmarks/update_stages.py); then the machine "boots" (the launcher is run) and must come up in the old or in the new
version with its link and its camera. Then bad releases: each must leave the old version running, and the right
reason. Nothing outside of a temporary folder and loopback is touched.
"""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from msgspec import Struct

from benchmarks.slow_source import slow_source
from benchmarks.update_stages import STAGES, drawn, reached, stage, timed
from benchmarks.update_world import Device, Maintainer, last_code
from node.broker.host import start_broker
from node.broker.port import BrokerAddress
from node.ports import any_free_port

log = logging.getLogger(__name__)

OLD, NEW = "1.0", "1.1"
UPDATE_S = 180.0
LOOK_S = 0.004
KILLED = ("power", "power", "updater")
PARTS = {"crash": "1.2", "hang": "1.3", "camera": "1.4", "hash": "1.5"}
_KEPT = "_works = run_agent\n"
PATCHES = {
    "crash": {"agent/run.py": "def run_agent(options):\n    raise SystemExit(3)"},
    "hang": {"agent/run.py": "def run_agent(options):\n    import time\n    time.sleep(3600)"},
    "camera": {
        "agent/run.py": _KEPT
        + "def run_agent(options):\n    from dataclasses import replace\n"
        + "    lost = tuple(replace(one, source='http://127.0.0.1:9/lost') for one in options.cameras)\n"
        + "    _works(replace(options, cameras=lost))"
    },
    "hash": {},
}
EXPECTED = {
    "crash": ("crashed",),
    "hang": ("hung",),
    "camera": ("camera-lost",),
    "hash": ("hash-mismatch",),
    "older": ("older",),
    "replayed": ("older",),
    "disk": ("disk-full",),
}


class BadRelease(Struct, frozen=True, kw_only=True):
    """running: the version that works afterwards. reason: the code that is told. ok: whether both are right; None where
    this machine does not allow the trial (note says why)."""

    running: str | None
    reason: str | None
    ok: bool | None
    seconds: float
    note: str = ""


class Figures(Struct, frozen=True, kw_only=True):
    """kills: -9 at random moments. unbootable: boots after which no version worked. wrong_version: boots into a version
    that is neither the old nor the new one, or ends in another than the journal tells. reasons_missing: ends other than
    a commit without their reason, and bad releases without the right one. by_phase: the stage that each kill hit, as
    the disk showed it afterwards. phase_s: how long each takes here, undisturbed."""

    kills: int
    unbootable: int
    wrong_version: int
    reasons_missing: int
    updates: int
    committed: int
    rolled_back: int
    by_phase: dict[str, int]
    phase_s: dict[str, float]
    bad_releases: dict[str, BadRelease]
    update_s: float
    recovery_p50_s: float
    recovery_max_s: float
    seconds: float
    seed: int


class Counts:
    def __init__(self) -> None:
        self.kills = self.unbootable = self.wrong_version = self.reasons_missing = 0
        self.updates = self.committed = self.rolled_back = 0
        self.by_phase: Counter[str] = Counter()
        self.recovery_s: list[float] = []


def measure(kills: int, seed: int, bad: bool = True, seconds: dict[str, float] | None = None) -> Figures:
    """Run it once; everything that it starts has ended when this returns. seconds: how long each stage takes here,
    where that is known; else an update that nobody disturbs is measured first."""
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kinflow-bench-update-") as name:
        folder = Path(name)
        broker = start_broker("auto", folder / "broker", any_free_port(), "bench-password")
        device = None
        try:
            maintainer = Maintainer(folder)
            device = Device(folder / "device", broker.address)
            device.install(maintainer.bundle(OLD), maintainer.root)
            maintainer.release(NEW)
            pristine = folder / "pristine"
            shutil.copytree(device.places.version(OLD), pristine, symlinks=True)
            counts = Counts()
            with slow_source(maintainer.public) as source:
                seconds = seconds or _whole(device, source, pristine)
                _kill(device, source, pristine, counts, kills, Random(seed), seconds)  # noqa: S311 (a schedule)
            found = _bad_releases(device, maintainer, pristine, broker.address) if bad else {}
        finally:
            if device is not None:
                device.stop()
            broker.stop()
    recovery = sorted(counts.recovery_s) or [0.0]
    return Figures(
        kills=counts.kills,
        unbootable=counts.unbootable + sum(one.running is None and one.ok is not None for one in found.values()),
        wrong_version=counts.wrong_version,
        reasons_missing=counts.reasons_missing + sum(one.ok is False for one in found.values()),
        updates=counts.updates,
        committed=counts.committed,
        rolled_back=counts.rolled_back,
        by_phase={name: counts.by_phase[name] for name in (*STAGES, "way-back", "idle")},
        phase_s={name: round(one, 3) for name, one in seconds.items()},
        bad_releases=found,
        update_s=round(sum(seconds.values()), 1),
        recovery_p50_s=round(recovery[len(recovery) // 2], 1),
        recovery_max_s=round(recovery[-1], 1),
        seconds=round(time.monotonic() - began_s, 1),
        seed=seed,
    )


def _reset(device: Device, pristine: Path) -> None:
    """The device as it was first set up, with its agent running."""
    device.stop()
    shutil.rmtree(device.places.versions)
    shutil.copytree(pristine, device.places.version(OLD), symlinks=True)
    device.places.current.unlink(missing_ok=True)
    device.places.current.symlink_to(f"versions/{OLD}")
    root = (device.places.folder / "root.json").read_bytes()
    shutil.rmtree(device.places.folder)
    device.places.folder.mkdir()
    (device.places.folder / "root.json").write_bytes(root)
    device.start_agent()
    report = device.comes_up()
    if report is None or report.version != OLD:
        raise RuntimeError(f"the device did not start at all: {device.log_tail()}")


def _whole(device: Device, source: str, pristine: Path) -> dict[str, float]:
    """One update that nobody disturbs: how long each stage takes."""
    _reset(device, pristine)
    device.update(source)
    deadline_s = time.monotonic() + UPDATE_S
    seconds = timed(device.places, lambda: device.updating and time.monotonic() < deadline_s, device.turn)
    journal = device.journal()
    if journal is None or journal.phase != "idle" or journal.version != NEW:
        raise RuntimeError(f"an undisturbed update came to nothing: {journal} {device.log_tail()}")
    return seconds


def _kill(  # noqa: PLR0917 (all of one run)
    device: Device,
    source: str,
    pristine: Path,
    counts: Counts,
    kills: int,
    random: Random,
    seconds: dict[str, float],
) -> None:
    """Several kills in one update: each cuts it off in the stage that was drawn, or in one that had come by then."""
    while counts.kills < kills:
        _reset(device, pristine)
        device.update(source)
        counts.updates += 1
        for wanted in drawn(random, counts.by_phase):
            if counts.kills >= kills:
                break
            if not reached(device.places, wanted, lambda: device.updating, device.turn, UPDATE_S):
                break
            # The look at the disk that told of it took a while as well.
            _wait_within(device, max(0.0, random.uniform(0.0, seconds[wanted]) - LOOK_S))
            _one_kill(device, source, counts, random.choice((*KILLED, "agent") if wanted == "gate" else KILLED))
        _finish(device, source, counts)


def _wait_within(device: Device, seconds: float) -> None:
    """A stage may be shorter than a turn of the little service manager."""
    if seconds < 0.1:
        time.sleep(seconds)
    else:
        device.wait(lambda: not device.updating, seconds)


def _one_kill(device: Device, source: str, counts: Counts, what: str) -> None:
    """Kill, boot, and look what comes up. The updater is started again as its timer does."""
    counts.kills += 1
    updating = device.updating
    device.kill(what)
    hit = stage(device.places) if updating else "idle"
    log.info("kill %d: %s, %s", counts.kills, what, hit)
    counts.by_phase[hit] += 1
    began_s = time.monotonic()
    report = device.comes_up()
    counts.recovery_s.append(time.monotonic() - began_s)
    if report is None:
        counts.unbootable += 1
    elif report.version not in {OLD, NEW}:
        counts.wrong_version += 1
    if not device.updating:
        # A wish that was cut off before it was in the journal is made again by whoever made it.
        device.update(None if device.phase() != "idle" else source)


def _finish(device: Device, source: str, counts: Counts) -> None:
    """Let it come to an end, and compare the journal with what runs."""

    def over() -> bool:
        if device.updating:
            return False
        if device.phase() != "idle":
            device.update(None)
            return False
        return True

    device.wait(over, UPDATE_S)
    if device.journal() is None:
        device.update(source)
        device.wait(over, UPDATE_S)
    journal = device.journal()
    # The commit is of a version that runs; what is rolled back is restarted.
    report = device.comes_up()
    if report is None:
        counts.unbootable += 1
        return
    agreed = journal is not None and {report.version, device.places.in_use()} == {journal.version}
    if journal is None or journal.phase != "idle" or not agreed:
        counts.wrong_version += 1
        return
    last = journal.last
    if last is not None and last.result == "committed":
        counts.committed += 1
    else:
        counts.rolled_back += 1
        if last is None or last.reason is None or not last.reason.code or not last.reason.text:
            counts.reasons_missing += 1


def _bad_releases(
    device: Device, maintainer: Maintainer, pristine: Path, broker: BrokerAddress
) -> dict[str, BadRelease]:
    found = {}
    replay = maintainer.folder / "replay"
    shutil.copytree(maintainer.public, replay)
    for name, version in PARTS.items():
        target = maintainer.release(version, PATCHES[name])
        if name == "hash":
            data = bytearray(target.read_bytes())
            data[len(data) // 2] ^= 1
            target.write_bytes(data)
        _reset(device, pristine)
        found[name] = _try_bad(device, maintainer.public, name)
    # The device has 1.0 and has seen today's metadata: yesterday's are refused.
    found["replayed"] = _try_bad(device, replay, "replayed")
    maintainer.release("0.9", even_older=True)
    found["older"] = _older(device, maintainer, pristine)
    found["disk"] = _full_disk(broker)
    return found


def _older(device: Device, maintainer: Maintainer, pristine: Path) -> BadRelease:
    _reset(device, pristine)
    return _try_bad(device, maintainer.public, "older")


def _try_bad(device: Device, source: Path, name: str) -> BadRelease:
    began_s = time.monotonic()
    device.update(source)
    device.wait(lambda: not device.updating, UPDATE_S)
    report = device.comes_up()
    running = report.version if report else None
    code = last_code(device)
    right = running == OLD and code in EXPECTED[name] and device.places.in_use() == OLD and device.phase() == "idle"
    note = "" if right else device.log_tail()[-500:]
    return BadRelease(running=running, reason=code, ok=right, seconds=round(time.monotonic() - began_s, 1), note=note)


def _full_disk(broker: BrokerAddress) -> BadRelease:
    """On a small disk of its own: a tmpfs in a mount namespace of its own, where the kernel lets this user have one."""
    address = f"{broker.username}:{broker.password}@{broker.host}:{broker.port}"
    command = ["unshare", "--map-root-user", "--mount", sys.executable, "-m", "benchmarks.update_disk", address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=UPDATE_S, check=False, cwd=Path.cwd())
        said = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        detail = done.stderr[-300:] if isinstance(error, ValueError) else str(error)
        return BadRelease(running=None, reason=None, ok=None, seconds=0.0, note=f"no small disk here: {detail}")
    return BadRelease(**said)
