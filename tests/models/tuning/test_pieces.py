"""A batch that is computed in pieces: the same is learnt, whichever way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.tuning import deltas
from models.tuning.bundle import load_manifest
from tests.models.tuning.small import tune

# A fifth of 75 examples is judged by; of 60, three batches of 20.
BATCH, EPOCHS = 20, 6


def trained(place: Path, pieces: int, *more: object) -> int:
    scheme, out = place / f"{pieces}.toml", place / f"out{pieces}"
    scheme.write_text(f'tensors = ["conv2.*", "head.*"]\npieces = {pieces}\n')
    words = ["run", place / "net.onnx", "--data", place / "data", "--out", out, "--scheme", scheme, "--rate", 0.02]
    return tune(*words, "--batch", BATCH, "--epochs", EPOCHS, "--json", *more)


@pytest.mark.parametrize("keep", ["0", "1GB"])
def test_a_batch_in_pieces_learns_what_it_learns_whole(place: Path, keep: str) -> None:
    for pieces in (1, 4):
        assert trained(place, pieces, "--keep", keep) == 0
    manifest = load_manifest(place / "out4" / "program")
    assert (manifest.batch, manifest.accumulate) == (5, 4)
    assert bool(manifest.kept) is (keep != "0")
    whole, parted = (deltas.read(place / f"out{pieces}" / "delta.safetensors") for pieces in (1, 4))
    assert whole.samples == parted.samples == 60 * EPOCHS
    for name, value in whole.differences.items():
        assert np.allclose(value, parted.differences[name], rtol=1e-2, atol=2e-3 * np.abs(value).max()), name


def test_a_batch_that_has_no_such_pieces_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trained(place, 3) == 254
    told = capsys.readouterr().err
    assert "KF370" in told
    assert "a batch of 20 can't be cut into 3 equal pieces" in told
