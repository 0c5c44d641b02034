"""Runs a group of child processes as one: started in order, restarted or failed together, stopped to the last."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom
from types import FrameType
from typing import BinaryIO

from node.backoff import backoff_s
from node.child import dying_with_parent
from node.errors import ProcessNotReady
from node.stopping import stop_signals

POLL_S = 0.05
TERM_PATIENCE_S = 3.0
STEADY_S = 10.0
LOG_LIMIT_BYTES = 5 * 1024 * 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Child:
    """One process of the group. ready: asked again and again until it is true, and only then does the next child start.
    restart: start it again when it ends (with back-off); else its end, whatever its status, ends the whole group."""

    name: str
    command: Sequence[str]
    ready: Callable[[], bool] = field(default=lambda: True)
    ready_timeout_s: float = 30.0
    restart: bool = False
    environment: Mapping[str, str] | None = None


class _Running:
    """A child's present process and what is known of its past ones."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.process: subprocess.Popen[bytes] | None = None
        self.output: threading.Thread | None = None
        self.started_s = 0.0
        self.attempt = 0
        self.restart_at_s: float | None = None


class Supervisor:
    """run() owns the calling thread, which must be the main one: signals come there, and the kernel ends the children
    with the thread that started them.

    Output of each child goes to `<logs>/<name>.log` (kept below LOG_LIMIT_BYTES, with one older file), or, without
    `logs`, to standard error with the child's name in front.
    """

    def __init__(self, children: Sequence[Child], logs: Path | None = None, random: Random | None = None) -> None:
        self._running = [_Running(child) for child in children]
        self._logs = logs
        self._random = random or SystemRandom()
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Ask run() to stop; from any thread or signal handler."""
        self._stopping.set()

    def run(self, on_ready: Callable[[], None] = lambda: None) -> int:
        """Run the group until a signal or stop() (returns 0) or until a child that may not end has ended (returns 1).

        on_ready is called once all children are ready. Raises ProcessNotReady (KF45) when one never was. On return, and
        on any error, every child has ended.
        """
        handlers = {one: signal.signal(one, self._on_signal) for one in stop_signals()}
        try:
            for running in self._running:
                self._start(running)
                if not self._await_ready(running):
                    return 0
            on_ready()
            return self._watch()
        finally:
            self._end_all()
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping.set()

    def _start(self, running: _Running) -> None:
        child = running.child
        running.restart_at_s = None
        running.started_s = time.monotonic()
        running.process = subprocess.Popen(
            dying_with_parent(child.command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(child.environment) if child.environment is not None else None,
            start_new_session=True,  # a terminal's Ctrl-C reaches us alone, and we stop the others in order
        )
        assert running.process.stdout is not None
        running.output = threading.Thread(
            target=self._copy_output, args=(child.name, running.process.stdout), name=f"log-{child.name}", daemon=True
        )
        running.output.start()

    def _await_ready(self, running: _Running) -> bool:
        """False when a stop was asked for meanwhile."""
        child, process = running.child, running.process
        assert process is not None
        deadline = time.monotonic() + child.ready_timeout_s
        while not self._stopping.is_set():
            if process.poll() is not None:
                raise self._not_ready(child, f"it ended with status {process.returncode}")
            if child.ready():
                return True
            if time.monotonic() > deadline:
                raise self._not_ready(child, f"it was not ready within {child.ready_timeout_s:g} s")
            self._stopping.wait(POLL_S)
        return False

    def _not_ready(self, child: Child, detail: str) -> ProcessNotReady:
        where = self._logs / f"{child.name}.log" if self._logs is not None else "the lines above"
        return ProcessNotReady(name=child.name, detail=detail, log=where)

    def _watch(self) -> int:
        while not self._stopping.wait(POLL_S):
            for running in self._running:
                if running.restart_at_s is not None:
                    if time.monotonic() >= running.restart_at_s:
                        self._start(running)
                elif running.process is not None and running.process.poll() is not None:
                    status = running.process.returncode
                    if not running.child.restart:
                        log.error("%s ended with status %d; stopping the others", running.child.name, status)
                        return 1
                    self._schedule_restart(running, status)
        return 0

    def _schedule_restart(self, running: _Running, status: int) -> None:
        lasted = time.monotonic() - running.started_s
        running.attempt = 1 if lasted > STEADY_S else running.attempt + 1
        pause_s = backoff_s(running.attempt, self._random)
        running.restart_at_s = time.monotonic() + pause_s
        log.warning("%s ended with status %d; it starts again in %.1f s", running.child.name, status, pause_s)

    def _end_all(self) -> None:
        """TERM in reverse order, KILL for whoever is still there after TERM_PATIENCE_S."""
        alive = [one for one in reversed(self._running) if one.process is not None]
        for running in alive:
            _signal_group(running.process, signal.SIGTERM)
        deadline = time.monotonic() + TERM_PATIENCE_S
        for running in alive:
            assert running.process is not None
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.process.wait(max(0.0, deadline - time.monotonic()))
            _signal_group(running.process, signal.SIGKILL)  # the process itself, or what it left behind
            running.process.wait()
            if running.output is not None:
                running.output.join(1.0)

    def _copy_output(self, name: str, output: BinaryIO) -> None:
        with output:
            if self._logs is None:
                for line in output:
                    sys.stderr.buffer.write(f"{name}: ".encode() + line)
                    sys.stderr.buffer.flush()
                return
            self._logs.mkdir(parents=True, exist_ok=True)
            path = self._logs / f"{name}.log"
            file = path.open("ab")
            for line in output:
                if file.tell() + len(line) > LOG_LIMIT_BYTES:
                    file.close()
                    path.replace(path.with_suffix(".log.1"))
                    file = path.open("ab")
                file.write(line)
                file.flush()
            file.close()


def _signal_group(process: subprocess.Popen[bytes] | None, number: signal.Signals) -> None:
    """Signal a child's whole session."""
    if process is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
