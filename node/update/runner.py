"""Carries an update out: each effect of the machine, one after the other, with the journal saved before each.

One process at a time (`updating` holds a lock). It may be killed at any moment and is then run again: by the timer, by
the path unit, or at the next boot.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, assert_never

from node.clock import Clock, SystemClock
from node.errors import BundleMalformed, UpdateBusy, UpdateNotPossible
from node.file_lock import lock_beside
from node.update import bundle, machine, request, schemas
from node.update.durable import remove_durably, replace_link
from node.update.environment import clean_environment, make_version, remove_version
from node.update.gate import Gate, look
from node.update.health import is_recent, read_reports
from node.update.journal import Baseline, Journal, Reason, load_journal, save_journal
from node.update.machine import (
    Clean,
    Discard,
    Done,
    Effect,
    Event,
    Failed,
    Fetch,
    GoBack,
    Install,
    Prepare,
    Prepared,
    Refused,
    Revert,
    SelfTest,
    Try,
    Wanted,
)
from node.update.places import Places
from node.update.reasons import reason_of
from node.update.targets import Targets

WATCH_EVERY_S = 0.25
STARTS_LIMIT = 3
# How long the services may take to leave a version that is taken back, before it is deleted all the same.
REVERT_MS = 60_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """gate_s: how long all must work before a commit. trial_s: how long it may take to come to work. self_test_s:
    before a self-test counts as hung."""

    gate_s: float = 120.0
    trial_s: float = 300.0
    self_test_s: float = 120.0
    keep_previous: bool = False


@dataclass
class Runner:
    """open_targets: the signed targets of a source (an address or a folder; empty for the configured one)."""

    places: Places
    arch: str
    open_targets: Callable[[str], Targets]
    limits: Limits = field(default_factory=Limits)
    clock: Clock = field(default_factory=SystemClock)
    sleep: Callable[[float], None] = time.sleep

    def journal(self) -> Journal:
        """Where things stand. Raises UpdateNotPossible (KF183) when no version is in use."""
        found = machine.adopt(load_journal(self.places.journal), self.places.in_use())
        if found is None:
            raise UpdateNotPossible(detail=f"{self.places.current} points at no version")
        return found

    def run(self, automatic: bool = False, asked: request.Request | None = None) -> Journal:
        """Finish what was begun, then do what was asked for (in the file, or as an argument), or look by itself when
        `automatic`. Returns where things stand in the end. Raises UpdateBusy (KF184), UpdateNotPossible (KF183)."""
        with self._updating():
            state, effects = machine.resume(self.journal())
            state = self._work(state, effects)
            wanted = asked or request.peek(self.places.wanted)
            if wanted is not None or automatic:
                event = self._event(wanted)
                state, effects = machine.step(state, event, self.clock.wall_ms()) if event else (state, ())
                # The journal holds the wish from here on.
                self._save(state)
                request.forget(self.places.wanted)
                state = self._work(state, effects)
            else:
                request.forget(self.places.wanted)
            return state

    def _work(self, state: Journal, effects: tuple[Effect, ...]) -> Journal:
        self._save(state)
        while effects:
            (effect,) = effects
            log.info("%s: %s", state.phase, effect)
            event = self._do(effect)
            state, effects = machine.step(state, event, self.clock.wall_ms(), self.limits.keep_previous)
            self._save(state)
        return state

    def _save(self, state: Journal) -> None:
        """The journal comes before everything else: on a full disk, what was begun makes room for it."""
        try:
            save_journal(self.places.journal, state)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._make_room(state)
            save_journal(self.places.journal, state)

    def _make_room(self, state: Journal) -> None:
        """Remove what can be made again."""
        shutil.rmtree(self.places.work, ignore_errors=True)
        self._remove_downloads()
        target = state.target
        if target is not None and target != self.places.in_use() and not self.places.is_whole(target):
            with suppress(OSError):
                remove_version(self.places, target)

    def _event(self, wanted: request.Request | None) -> Event | None:
        """What the source has to say to a wish, or to nobody's."""
        if wanted is not None and wanted.action == "rollback":
            return GoBack()
        source = (wanted.source if wanted else None) or ""
        command = wanted.command if wanted else None
        try:
            version = self.open_targets(source).refresh().version
        except Exception as error:
            log.warning("%s", error)
            name = (wanted.version if wanted else None) or ""
            return Refused(name, reason_of(error), command) if wanted else None
        asked_for = (wanted.version if wanted else None) or version
        if asked_for != version:
            reason = Reason("not-current", f"version {asked_for} was asked for; the source's current one is {version}")
            return Refused(asked_for, reason, command)
        return Wanted(version, secrets.token_hex(8), source, command, again=wanted is not None)

    def _do(self, effect: Effect) -> Event:  # noqa: PLR0911 (one for each effect)
        try:
            match effect:
                case Fetch():
                    return self._fetch(effect)
                case Install():
                    return self._install(effect)
                case SelfTest():
                    return self._self_test(effect)
                case Prepare():
                    return self._prepare()
                case Try():
                    return self._try(effect)
                case Clean() | Revert() | Discard():
                    return self._put_in_order(effect)
                case _:
                    assert_never(effect)
        except Exception as error:
            if isinstance(effect, Clean | Revert | Discard):
                raise  # the journal stands where it does, and the next run does it again
            log.exception("%s failed", effect)
            return Failed(reason_of(error))

    # Before the switch

    def _tar(self, version: str) -> Path:
        return self.places.downloads / f"kinflow-{version}-{self.arch}.tar"

    def _fetch(self, effect: Fetch) -> Event:
        targets = self.open_targets(effect.source)
        if targets.refresh().version != effect.version:
            return Failed(Reason("not-current", f"the source has moved on from version {effect.version}"))
        path = f"kinflow/{effect.version}/{self.arch}.tar"
        target = targets.find(path)
        if target is None:
            return Failed(Reason("not-offered", f"version {effect.version} has no bundle for {self.arch}"))
        targets.download(target, self._tar(effect.version))
        return Done()

    def _install(self, effect: Install) -> Event:
        folder, manifest = bundle.unpack(self._tar(effect.version), self.places.work)
        if (manifest.version, manifest.arch) != (effect.version, self.arch):
            raise BundleMalformed(path=folder, detail=f"it is {manifest.name}")
        make_version(folder, manifest, self.places)
        shutil.rmtree(self.places.work)
        return Done()

    def _self_test(self, effect: SelfTest) -> Event:
        """In a group of its own: what it may have started ends with it."""
        command = [str(self.places.version(effect.version) / "bin" / "kinflow"), "self-test", "--json"]
        environment = clean_environment(KINFLOW_HOME=str(self.places.home))
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            said, complaints = process.communicate(timeout=self.limits.self_test_s)
        except subprocess.TimeoutExpired:
            limit_s = self.limits.self_test_s
            return Failed(Reason("self-test-hung", f"the self-test of {effect.version} took more than {limit_s:g} s"))
        finally:
            with suppress(ProcessLookupError, PermissionError):
                signal_group(process.pid)
            process.wait()
        try:
            passed = process.returncode == 0 and json.loads(said)["ok"] is True
        except (ValueError, KeyError, TypeError):
            passed = False
        if passed:
            return Done()
        lines = [line for line in complaints.splitlines() if line.strip()]
        detail = lines[0].strip() if lines else f"it ended with status {process.returncode}"
        return Failed(Reason("self-test-failed", f"version {effect.version}: {detail}"[:300]))

    def _prepare(self) -> Event:
        state = self.journal()
        schemas.save(self.places.schemas(state.version), schemas.note(self.places.home))
        return Prepared(self._baseline(), self.limits.trial_s, STARTS_LIMIT)

    def _baseline(self) -> tuple[Baseline, ...]:
        """What the version before did within the last hour: no more is asked of the new one."""
        return tuple(
            Baseline(
                tier=tier,
                link_up=report.link_up,
                cameras=tuple(sorted(name for name, state in report.cameras.items() if state == "running")),
                answer=report.answer is True,
            )
            for tier, report in read_reports(self.places.home, this_boot=False).items()
            if is_recent(self.places.home, tier)
        )

    # The trial

    def _try(self, effect: Try) -> Event:
        replace_link(self.places.current, f"versions/{effect.version}")
        if self._running() != effect.version:
            self._ask_for_restart()
        now_ms = self.clock.monotonic_ms()
        gate = Gate(
            effect.version,
            effect.baseline,
            began_ms=now_ms,
            gate_ms=round(self.limits.gate_s * 1000),
            trial_ms=round(self.limits.trial_s * 1000),
        )
        while True:
            if (called_off := self._called_off(effect)) is not None:
                return Failed(called_off)
            reports = read_reports(self.places.home, this_boot=True)
            gate, verdict = look(
                gate, reports, self._boots(effect.attempt).get("starts", {}), self.clock.monotonic_ms()
            )
            if verdict is True:
                return Done()
            if isinstance(verdict, Reason):
                return Failed(verdict)
            self.sleep(WATCH_EVERY_S)

    def _called_off(self, effect: Try) -> Reason | None:
        gave_up = self._boots(effect.attempt).get("gave_up")
        if gave_up:
            return Reason(str(gave_up["code"]), str(gave_up["text"]))
        wanted = request.peek(self.places.wanted)
        if wanted is not None and wanted.action == "rollback":
            request.forget(self.places.wanted)
            return Reason("operator", f"somebody called the trial of version {effect.version} off")
        if self.places.in_use() != effect.version:
            return Reason("superseded", f"another version was installed during the trial of {effect.version}")
        return None

    def _boots(self, attempt: str) -> dict[str, Any]:
        """What the boot selector has counted during this attempt."""
        try:
            found = json.loads(self.places.boots.read_bytes())
            return found if found.get("attempt") == attempt else {}
        except (OSError, ValueError, AttributeError):
            return {}

    def _running(self) -> str | None:
        """The version of every tier that runs, when it is one and the same."""
        versions = {report.version for report in read_reports(self.places.home, this_boot=True).values()}
        return versions.pop() if len(versions) == 1 else None

    def _ask_for_restart(self) -> None:
        """Whoever may restart services watches this file."""
        with suppress(OSError):
            self.places.restart.write_text(f"{self.clock.wall_ms()}\n", "ascii")

    # Afterwards

    def _put_in_order(self, effect: Clean | Revert | Discard) -> Event:
        match effect:
            case Clean():
                for version in self.places.installed():
                    if version not in effect.keep:
                        remove_version(self.places, version)
                for path in self.places.schemas("0").parent.glob("*.json"):
                    if path.stem not in effect.keep[1:]:
                        remove_durably(path)
                self._remove_downloads()
            case Revert():
                self._revert(effect)
            case Discard():
                remove_version(self.places, effect.bad)
                if not effect.keep_download:
                    self._remove_downloads()
        shutil.rmtree(self.places.work, ignore_errors=True)
        return Done()

    def _revert(self, effect: Revert) -> None:
        if self.places.in_use() in {effect.bad, None}:
            replace_link(self.places.current, f"versions/{effect.version}")
        self._ask_for_restart()
        # Nothing is taken from under a process that still runs. The boot selector brings the stores back before it
        # starts the old version; here that is done for those that no process opens.
        deadline_ms = self.clock.monotonic_ms() + REVERT_MS
        while self._running() == effect.bad and self.clock.monotonic_ms() < deadline_ms:
            self.sleep(WATCH_EVERY_S)
        _, left = schemas.step_down(self.places.home, schemas.load(self.places.schemas(effect.version)))
        if not left:
            remove_durably(self.places.schemas(effect.version))
        self._remove_downloads()
        if effect.bad != self.places.in_use():
            remove_version(self.places, effect.bad)

    def _remove_downloads(self) -> None:
        shutil.rmtree(self.places.downloads, ignore_errors=True)

    def _updating(self) -> TextIO:
        try:
            return lock_beside(self.places.folder / "update")
        except OSError as error:
            raise UpdateBusy(detail=f"{self.places.folder}/update.lock is held") from error


def signal_group(leader: int, number: signal.Signals = signal.SIGKILL) -> None:
    os.killpg(leader, number)


def step_down(places: Places, version: str) -> tuple[list[str], list[str]]:
    """What the boot selector has done before a version is started that another one has run after."""
    return schemas.step_down(places.home, schemas.load(places.schemas(version)))
