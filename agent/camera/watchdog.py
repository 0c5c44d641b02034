"""Keeps one source running: opens it, reads it, and opens it again when it stalls or breaks."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Literal

from agent.camera.newest import NewestFrame
from agent.camera.port import Camera
from agent.camera.source import shown
from agent.errors import CameraStalled
from node.backoff import backoff_s
from node.clock import Clock
from protocol.errors import KinflowError
from protocol.ids import CameraId
from protocol.messages import CameraHealth

State = Literal["starting", "running", "stalled", "failed"]

STALLED_AFTER_MS = 3_000
# A read that has not come back for so long never will: its thread is left behind and a new one opens the source.
ABANDONED_AFTER_MS = 30_000
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
_FPS_OVER_MS = 3_000

log = logging.getLogger(__name__)


class Watchdog:
    """start() and stop() once each; `check` from one thread, a few times a second."""

    def __init__(
        self,
        camera: CameraId,
        source: str,
        open_source: Callable[[], Camera],
        newest: NewestFrame,
        clock: Clock,
        *,
        random: Random | None = None,
        stalled_after_ms: int = STALLED_AFTER_MS,
        abandoned_after_ms: int = ABANDONED_AFTER_MS,
    ) -> None:
        self.camera = camera
        self._source, self._open, self._newest, self._clock = source, open_source, newest, clock
        self._random = random or Random()  # noqa: S311 - jitter, no secret
        self._stalled_after_ms, self._abandoned_after_ms = stalled_after_ms, abandoned_after_ms
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._generation = 0
        self._state: State = "starting"
        self._error: KinflowError | None = None
        self._restarts = 0
        self._active_ms = clock.monotonic_ms()
        self._arrivals: deque[int] = deque(maxlen=512)

    def start(self) -> None:
        threading.Thread(target=self._run, args=(self._generation,), name=f"camera-{self.camera}", daemon=True).start()

    def stop(self) -> None:
        """Returns at once; a read that hangs ends with the process."""
        self._stopping.set()
        self._newest.close()

    @property
    def state(self) -> State:
        return self._state

    @property
    def error(self) -> KinflowError | None:
        """Why it does not run, while it does not."""
        return self._error

    def check(self) -> State:
        """Notice a source that has gone quiet, and give up on a read that hangs."""
        quiet_ms = self._clock.monotonic_ms() - self._active_ms
        with self._lock:
            if self._state == "running" and quiet_ms >= self._stalled_after_ms:
                self._state = "stalled"
                self._error = CameraStalled(source=shown(self._source), timeout_s=quiet_ms / 1000)
            state = self._state
            hangs = self._state == "stalled" and quiet_ms >= self._abandoned_after_ms
            if hangs:
                self._generation += 1
                self._active_ms = self._clock.monotonic_ms()
        if hangs:
            log.warning("camera %s hangs; opening it anew", self.camera)
            self.start()
        return state

    def health(self) -> CameraHealth:
        now_ms = self._clock.monotonic_ms()
        recent = [one for one in tuple(self._arrivals) if now_ms - one <= _FPS_OVER_MS]
        error = self._error
        return CameraHealth(
            camera=self.camera,
            state=self._state,
            frames_per_s=round(len(recent) * 1000 / _FPS_OVER_MS, 2),
            restarts=self._restarts,
            detail="" if error is None else f"{error.code}: {error.cause_text}"[:500],
        )

    def _run(self, generation: int) -> None:
        failures = 0
        while self._mine(generation):
            got = self._read_until_it_ends(generation)
            if not self._mine(generation):
                return
            if self._error is None:
                continue  # a file that came to its end is played again
            failures = 1 if got else failures + 1
            self._restarts += 1
            self._stopping.wait(backoff_s(failures, self._random, FIRST_PAUSE_S, LONGEST_PAUSE_S))

    def _read_until_it_ends(self, generation: int) -> bool:
        """Whether any frame came."""
        got = False
        camera: Camera | None = None
        try:
            camera = self._open()
            while self._mine(generation):
                frame = camera.read()
                if frame is None or not self._mine(generation):
                    break
                got = True
                self._arrived()
                self._newest.put(frame)
        except KinflowError as error:
            self._broke(generation, error)
        except Exception:
            log.exception("camera %s broke", self.camera)
            self._broke(generation, CameraStalled(source=shown(self._source), timeout_s=0))
        finally:
            if camera is not None:
                camera.close()
        return got

    def _arrived(self) -> None:
        now_ms = self._clock.monotonic_ms()
        with self._lock:
            if self._state != "running":
                log.info("camera %s runs", self.camera)
            self._state, self._error, self._active_ms = "running", None, now_ms
            self._arrivals.append(now_ms)

    def _broke(self, generation: int, error: KinflowError) -> None:
        with self._lock:
            if generation != self._generation:
                return
            new = self._error is None or self._error.code != error.code
            self._state = "stalled" if isinstance(error, CameraStalled) else "failed"
            self._error = error
        if new:
            log.warning("camera %s: %s", self.camera, error)

    def _mine(self, generation: int) -> bool:
        return generation == self._generation and not self._stopping.is_set()
