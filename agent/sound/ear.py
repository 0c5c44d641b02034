"""Listens to one source on a thread of its own and keeps what was heard last: the finding, not the sound."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from agent.emergency.siren import SirenReading, hear
from agent.sound.port import SoundSource
from agent.sound.ring import Ring
from node.backoff import backoff_s
from node.clock import Clock
from protocol.errors import KinflowError

LOOK_EVERY_MS = 500
STALE_AFTER_MS = 2_000
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Heard:
    """One finding. mono_ms: when the sound behind it ended."""

    reading: SirenReading
    mono_ms: int


class SoundEar:
    """start() and stop() once each; `latest` and `error` from any thread. Sound is held for at most three seconds, in
    memory, and wiped when the source breaks or the ear is stopped."""

    def __init__(
        self,
        open_source: Callable[[], SoundSource],
        clock: Clock,
        *,
        random: Random | None = None,
        listen: Callable[[object], SirenReading] = hear,  # type: ignore[assignment]
    ) -> None:
        self._open, self._clock, self._listen = open_source, clock, listen
        self._random = random or Random()  # noqa: S311 - jitter, no secret
        self._stopping = threading.Event()
        self._heard: Heard | None = None
        self._error: KinflowError | None = None
        self._thread = threading.Thread(target=self._run, name="ear", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, wait_s: float = 2.0) -> None:
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(wait_s)

    @property
    def error(self) -> KinflowError | None:
        """Why nothing is heard, while nothing is."""
        return self._error

    def latest(self, now_ms: int) -> Heard | None:
        """None while there is nothing recent: no source, a source that broke, less than 1.5 s of sound so far."""
        heard = self._heard
        return heard if heard is not None and now_ms - heard.mono_ms <= STALE_AFTER_MS else None

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            got = self._hear_until_it_ends()
            if self._error is None and got:
                failures = 0
                continue
            failures = 1 if got else failures + 1
            self._stopping.wait(backoff_s(failures, self._random, FIRST_PAUSE_S, LONGEST_PAUSE_S))

    def _hear_until_it_ends(self) -> bool:
        """Whether any sound came."""
        source: SoundSource | None = None
        ring, got, due_ms = Ring(), False, 0
        try:
            source = self._open()
            while not self._stopping.is_set() and (block := source.read()) is not None:
                got, self._error = True, None
                ring.add(block.samples)
                if block.mono_ms >= due_ms:
                    due_ms = block.mono_ms + LOOK_EVERY_MS
                    self._heard = Heard(self._listen(ring.samples()), block.mono_ms)
        except KinflowError as error:
            if self._error is None or self._error.code != error.code:
                log.error("sound: %s", error)
            self._error = error
        finally:
            ring.clear()
            if source is not None:
                source.close()
        return got
