"""`kinflow eval siren` on clips that are made for it."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from agent.errors import SoundUnreadable
from benchmarks.eval.cli import app
from benchmarks.eval.siren import measure, windows
from sim_devices.sound.clips import negative, positive


def write(path: Path, sound: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.round(sound * 32_000).astype("<i2").tobytes())


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    wavs, others = tmp_path / "wavs", tmp_path / "others"
    wavs.mkdir()
    others.mkdir()
    for number in range(3):
        write(wavs / f"{number}.wav", positive(800_000 + number, "wail", snr_db=15.0))
        write(others / f"{number}.WAV", negative(800_000 + number, "traffic"))
    (wavs / "broken.wav").write_bytes(b"RIFF")
    return wavs, others


def test_it_prints_recall_and_false_alarms(folders: tuple[Path, Path]) -> None:
    wavs, others = folders
    told = CliRunner().invoke(app, ["siren", "--wavs", str(wavs), "--negatives", str(others), "--json"])
    assert told.exit_code == 0
    figures = json.loads(told.stdout)
    assert (figures["false_alarm_rate"], figures["clips"]) == (0.0, 3)
    assert figures["recall"] >= 0.6
    assert (figures["negatives"], figures["negatives_are_made"], figures["unreadable"]) == (3, False, 1)
    assert "1 files could not be read" in told.stderr


def test_without_negatives_they_are_made_and_said_to_be(folders: tuple[Path, Path]) -> None:
    figures = measure(folders[0], None, made=20)
    assert figures.negatives_are_made
    assert figures.negatives == 20
    assert len(figures.false_alarms_by_kind) == 20


def test_a_folder_without_sound_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SoundUnreadable, match="no WAV file"):
        measure(tmp_path, None)


def test_long_clips_are_heard_in_windows_and_short_ones_once() -> None:
    assert [len(one) for one in windows(np.zeros(16_000 * 5))] == [48_000, 48_000, 48_000]
    assert [len(one) for one in windows(np.zeros(16_000 * 3))] == [48_000]
    assert [len(one) for one in windows(np.zeros(100))] == [24_000]
