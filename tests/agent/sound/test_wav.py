"""WAV files of every common coding become the same sound."""

from __future__ import annotations

import struct
import wave
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import SoundUnreadable
from agent.sound.port import RATE_HZ
from agent.sound.resample import Resampler, resampled
from agent.sound.wav import read_wav

SINE = 0.6 * np.sin(2 * np.pi * 440 * np.arange(4000) / RATE_HZ)


def write(path: Path, samples: np.ndarray, width: int, rate_hz: int = RATE_HZ, channels: int = 1) -> Path:
    scaled = np.round(samples * ((1 << (8 * width - 1)) - 1)).astype(np.int64)
    raw = (
        (scaled + 128).astype(np.uint8).tobytes()
        if width == 1
        else b"".join(int(one).to_bytes(width, "little", signed=True) for one in scaled)
    )
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate_hz)
        file.writeframes(raw)
    return path


def chunked(path: Path, form: bytes, body: bytes, before: bytes = b"") -> Path:
    chunks = before + b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(body)) + body
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
    return path


@pytest.mark.parametrize(("width", "close"), [(1, 0.01), (2, 1e-4), (3, 1e-6), (4, 1e-6)])
def test_pcm_of_every_width_is_read(tmp_path: Path, width: int, close: float) -> None:
    wav = read_wav(write(tmp_path / "a.wav", SINE, width))
    assert wav.rate_hz == RATE_HZ
    assert wav.samples == pytest.approx(SINE, abs=close)


def test_two_channels_are_mixed_down(tmp_path: Path) -> None:
    both = np.stack([SINE, -0.5 * SINE], axis=1).reshape(-1)
    wav = read_wav(write(tmp_path / "a.wav", both, 2, channels=2))
    assert wav.samples == pytest.approx(0.25 * SINE, abs=1e-4)


def test_floats_and_the_extensible_form_are_read_past_other_chunks(tmp_path: Path) -> None:
    form = struct.pack("<HHIIHH", 0xFFFE, 1, 8000, 32000, 4, 32) + struct.pack("<HHIH", 22, 32, 4, 3) + bytes(14)
    wav = read_wav(chunked(tmp_path / "a.wav", form, SINE.astype("<f4").tobytes(), b"LIST\x03\0\0\0abc\0"))
    assert wav.rate_hz == 8000
    assert wav.samples == pytest.approx(SINE, abs=1e-6)


def test_what_is_no_number_is_silence_and_what_is_too_loud_is_clipped(tmp_path: Path) -> None:
    form = struct.pack("<HHIIHH", 3, 1, 8000, 32000, 4, 32)
    wav = read_wav(chunked(tmp_path / "a.wav", form, np.array([np.nan, np.inf, 7.0, -7.0], "<f4").tobytes()))
    assert wav.samples.tolist() == [0.0, 0.0, 1.0, -1.0]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF\0\0\0\0WAVE",
        b"not a sound at all",
        b"RIFF\x10\0\0\0WAVEdata\x04\0\0\0\0\0\0\0",
        b"RIFF\x10\0\0\0WAVEfmt \x04\0\0\0\x01\0\x01\0data\x04\0\0\0\0\0\0\0",
    ],
)
def test_what_is_no_sound_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    with pytest.raises(SoundUnreadable, match=r"KF79.*a\.wav"):
        read_wav(path)


@pytest.mark.parametrize(
    "form", [(2, 1, 8000, 0, 1, 4), (1, 0, 8000, 0, 2, 16), (1, 1, 0, 0, 2, 16), (1, 1, 8000, 0, 2, 12)]
)
def test_codings_that_are_not_read_are_refused(tmp_path: Path, form: tuple[int, ...]) -> None:
    with pytest.raises(SoundUnreadable):
        read_wav(chunked(tmp_path / "a.wav", struct.pack("<HHIIHH", *form), bytes(64)))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SoundUnreadable, match="No such file"):
        read_wav(tmp_path / "b.wav")


@given(st.binary(max_size=200))
def test_damaged_files_raise_nothing_else(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("wav") / "a.wav"
    path.write_bytes(b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0" + data)
    with suppress(SoundUnreadable):
        read_wav(path)


@pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 44100, 48000, 96000])
def test_a_tone_keeps_its_pitch_and_level_at_another_rate(rate_hz: int) -> None:
    tone = np.sin(2 * np.pi * 700 * np.arange(rate_hz) / rate_hz)
    made = resampled(tone, rate_hz)
    assert len(made) == RATE_HZ
    wanted = np.sin(2 * np.pi * 700 * np.arange(RATE_HZ) / RATE_HZ)
    assert made[200:-200] == pytest.approx(wanted[200:-200], abs=0.01)


def test_what_a_lower_rate_can_not_hold_is_taken_away() -> None:
    tone = np.sin(2 * np.pi * 15_000 * np.arange(48_000) / 48_000)
    assert np.abs(resampled(tone, 48_000)[200:-200]).max() < 0.02


@given(cuts=st.lists(st.integers(1, 3000), max_size=8), rate_hz=st.sampled_from([8000, 44_100, 48_000]))
def test_a_stream_may_come_in_any_pieces(cuts: list[int], rate_hz: int) -> None:
    sound = np.random.default_rng(1).normal(0, 0.2, 3000).astype(np.float32)
    whole = Resampler(rate_hz).feed(sound)
    stream, edges = Resampler(rate_hz), sorted({0, 3000, *cuts})
    parts = np.concatenate([stream.feed(sound[a:b]) for a, b in pairwise(edges)])
    assert len(parts) == len(whole)
    assert parts == pytest.approx(whole, abs=1e-5)
