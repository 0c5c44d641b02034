"""A microphone of this machine, through ALSA's own recorder as a child process: no library of ours opens a device."""

from __future__ import annotations

import select
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence

from agent.errors import MicrophoneUnavailable
from agent.sound.file import BLOCK_MS
from agent.sound.port import RATE_HZ, Block
from agent.sound.wav import samples_of
from node.child import end
from node.clock import Clock

TIMEOUT_S = 3.0


class Microphone:
    """`arecord -D device` to a pipe, 16 bits, mono, 16 kHz (ALSA's plug device converts what the hardware gives).

    Raises MicrophoneUnavailable (KF80) when the recorder is not installed, finds no such device or may not open it,
    and when nothing comes for TIMEOUT_S.
    """

    def __init__(
        self,
        device: str,
        clock: Clock,
        *,
        which: Callable[[str], str | None] = shutil.which,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._name, self._clock, self._timeout_s = f"microphone:{device}", clock, timeout_s
        tool = which("arecord")
        if tool is None:
            raise MicrophoneUnavailable(source=self._name, detail="arecord is not installed")
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the child
        self._process = subprocess.Popen(
            recording([tool], device), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._said, bufsize=0
        )

    def read(self) -> Block | None:
        assert self._process.stdout is not None
        wanted = 2 * RATE_HZ * BLOCK_MS // 1000
        data = b""
        while len(data) < wanted:
            ready, _, _ = select.select([self._process.stdout], [], [], self._timeout_s)
            if not ready:
                raise MicrophoneUnavailable(source=self._name, detail=f"it gave no sound for {self._timeout_s:g} s")
            piece = self._process.stdout.read(wanted - len(data))
            if not piece:
                raise MicrophoneUnavailable(source=self._name, detail=self._last_words())
            data += piece
        return Block(samples_of(data, 2), self._clock.monotonic_ms())

    def close(self) -> None:
        end(self._process)
        self._said.close()

    def _last_words(self) -> str:
        status = self._process.wait()
        self._said.seek(0)
        lines = self._said.read(2000).decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip()[:200] if lines else f"its recorder ended with status {status}"


def recording(tool: Sequence[str], device: str) -> list[str]:
    return [*tool, "-q", "-D", device, "-t", "raw", "-f", "S16_LE", "-r", str(RATE_HZ), "-c", "1"]
