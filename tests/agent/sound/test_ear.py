"""Sound sources, and the ear that listens to one without keeping what it hears."""

from __future__ import annotations

import threading
import wave
from pathlib import Path

import numpy as np
import pytest

from agent.emergency.siren import SirenReading
from agent.errors import MicrophoneUnavailable, SoundUnreadable
from agent.sound.ear import STALE_AFTER_MS, SoundEar
from agent.sound.file import FileSound
from agent.sound.microphone import Microphone
from agent.sound.opening import open_sound
from agent.sound.port import RATE_HZ, Block
from agent.sound.ring import Ring
from node.clock import ManualClock, SystemClock


@pytest.fixture
def quarter_file(tmp_path: Path) -> Path:
    """A quarter of a second of a tone."""
    path = tmp_path / "a.wav"
    tone = np.round(20_000 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ // 4) / RATE_HZ)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(tone.tobytes())
    return path


def test_the_ring_holds_three_seconds_and_no_more() -> None:
    ring = Ring(seconds=60)
    for second in range(9):
        ring.add(np.full(RATE_HZ, second / 10, np.float32))
    held = ring.samples()
    assert ring.full
    assert len(held) == 3 * RATE_HZ
    assert sorted({round(float(one), 1) for one in held}) == [0.6, 0.7, 0.8]
    ring.add(np.ones(10 * RATE_HZ, np.float32))
    assert len(ring.samples()) == 3 * RATE_HZ
    ring.clear()
    assert ring.filled == 0
    assert not ring._held.any()


def test_a_file_plays_over_and_over_at_its_own_pace(quarter_file: Path) -> None:
    clock, waits = ManualClock(), []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.advance(round(seconds * 1000))

    source = open_sound(str(quarter_file), clock)
    assert isinstance(source, FileSound)
    source = FileSound(quarter_file, clock, sleep=sleep)
    blocks = [source.read() for _ in range(8)]
    assert all(block is not None and len(block.samples) == 4000 for block in blocks)
    assert sum(waits) == pytest.approx(2.0, abs=0.01)
    source.close()


def test_a_file_that_is_not_live_ends(quarter_file: Path) -> None:
    source = FileSound(quarter_file, ManualClock(), live=False)
    assert source.read() is not None
    assert source.read() is None


def test_a_microphone_without_its_recorder_says_so() -> None:
    with pytest.raises(MicrophoneUnavailable, match="arecord is not installed"):
        Microphone("default", ManualClock(), which=lambda name: None)


def tool(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_a_microphone_reads_its_recorder(tmp_path: Path) -> None:
    recorder = tool(tmp_path / "arecord", 'echo "$@" > ' + str(tmp_path / "args") + "; exec cat /dev/zero")
    microphone = Microphone("plughw:1", SystemClock(), which=lambda name: recorder)
    try:
        block = microphone.read()
        assert block is not None
        assert len(block.samples) == RATE_HZ // 4
        assert "-D plughw:1 -t raw -f S16_LE -r 16000 -c 1" in (tmp_path / "args").read_text()
    finally:
        microphone.close()


def test_a_recorder_that_breaks_off_tells_why(tmp_path: Path) -> None:
    recorder = tool(tmp_path / "arecord", "echo 'arecord: main:830: audio open error: Permission denied' >&2; exit 1")
    microphone = Microphone("default", SystemClock(), which=lambda name: recorder)
    with pytest.raises(MicrophoneUnavailable, match="Permission denied"):
        microphone.read()
    microphone.close()


def test_a_recorder_that_hangs_is_given_up(tmp_path: Path) -> None:
    recorder = tool(tmp_path / "arecord", "exec sleep 60")
    microphone = Microphone("default", SystemClock(), which=lambda name: recorder, timeout_s=0.1)
    with pytest.raises(MicrophoneUnavailable, match="no sound"):
        microphone.read()
    microphone.close()


class Scripted:
    """A source that gives its blocks, then ends or breaks."""

    def __init__(self, blocks: list[Block], error: Exception | None = None) -> None:
        self.blocks, self.error, self.closed = list(blocks), error, False

    def read(self) -> Block | None:
        if self.blocks:
            return self.blocks.pop(0)
        if self.error is not None:
            raise self.error
        return None

    def close(self) -> None:
        self.closed = True


def quarter(number: int) -> Block:
    return Block(np.full(RATE_HZ // 4, 0.1, np.float32), 250 * (number + 1))


def test_the_ear_keeps_the_finding_and_wipes_the_sound() -> None:
    heard: list[int] = []
    done = threading.Event()

    def listen(samples: object) -> SirenReading:
        heard.append(len(samples))  # type: ignore[arg-type]
        if len(heard) == 6:
            done.set()
        return SirenReading("siren", 5.0)

    source = Scripted([quarter(number) for number in range(12)], SoundUnreadable(source="x", detail="it broke"))
    ear = SoundEar(lambda: source, ManualClock(), listen=listen)
    ear.start()
    assert done.wait(10)
    ear.stop()
    assert max(heard) <= 3 * RATE_HZ
    latest = ear.latest(3000)
    assert latest is not None
    assert latest.reading.llr == 5.0
    assert ear.latest(latest.mono_ms + STALE_AFTER_MS + 1) is None
    assert source.closed
    assert not any(isinstance(value, np.ndarray) for value in vars(ear).values())


def test_an_ear_whose_source_breaks_opens_it_again() -> None:
    opened = []
    twice = threading.Event()

    def open_source() -> Scripted:
        opened.append(1)
        if len(opened) >= 2:
            twice.set()
        raise MicrophoneUnavailable(source="microphone:default", detail="it is gone")

    ear = SoundEar(open_source, ManualClock())
    ear.start()
    assert twice.wait(20)
    assert ear.error is not None
    assert ear.error.code == "KF80"
    assert ear.latest(0) is None
    ear.stop()
