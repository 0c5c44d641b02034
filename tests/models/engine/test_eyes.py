"""Pictures in front of a question: rows in the place of tokens, and libmtmd where it is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from models.engine.generate import generate
from models.engine.llama import eyes
from models.engine.llama.eyes import Eyes
from models.engine.llama.weights import Loaded
from models.engine.port import Piece, Seen
from models.engine.sampling import Sampling
from models.errors import ContextTooLong, EyesMissing, EyesUnfit, WeightsQuarantined
from models.serving.seeing import see
from models.serving.template import Said, begin_of_user, tokens_of
from tests.models.engine.conftest import Open, trusting
from tests.models.engine.tiny import WIDTH, Weights, vocabulary
from tests.models.engine.tiny_eyes import ROWS, projector

GREEDY = Sampling(temperature=0.0, max_tokens=8)
PICTURE = np.random.default_rng(1).integers(0, 255, (40, 60, 3), dtype=np.uint8)


class Knowing:
    """Sees the same in every picture."""

    def __init__(self, seen: Sequence[Seen]) -> None:
        self.seen = list(seen)

    def look(self, picture: np.ndarray) -> list[Seen]:
        return self.seen


def rows_of(tokens: Sequence[int]) -> np.ndarray:
    """The table of words of the tiny llama: what a token is to its first block."""
    weights = Weights(0)
    weights.matrix("token_embd.weight", WIDTH, vocabulary()[1])
    table = np.frombuffer(weights.tensors[0].source, np.float32).reshape(-1, WIDTH)
    return table[list(tokens)]


def test_rows_stand_in_the_place_of_tokens(open_engine: Open) -> None:
    engine = open_engine("dense")
    said, shown = tokens_of(engine, [Said("user", "is free")]), engine.tokenize("the road")
    before = begin_of_user(engine)
    seen = [Seen(tuple(shown[:1])), Seen(rows=rows_of(shown[1:])), Seen()]
    told = [step.choice.token for step in see(engine, Knowing(seen), PICTURE, "is free", GREEDY)]
    engine.rollback(0, 0)
    same = generate(engine, 0, [*before, *shown, *said[len(before) :]], GREEDY)
    assert told == [step.choice.token for step in same]


def test_a_picture_that_does_not_fit_is_refused_with_the_excess(open_engine: Open) -> None:
    engine = open_engine("dense", sequences=1)
    with pytest.raises(ContextTooLong, match="more than"):
        next(see(engine, Knowing([Seen(rows=np.zeros((256, WIDTH), np.float32))]), PICTURE, "is free", GREEDY))
    assert engine.length(0) == 0


def test_without_libmtmd_it_says_how_to_build_it(
    loaded: dict[str, Loaded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise FileNotFoundError(f"{name}: no such library")

    eyes._library.cache_clear()
    monkeypatch.setattr(eyes.importlib, "import_module", missing)
    path = projector(tmp_path / "mmproj.gguf")
    with pytest.raises(EyesMissing, match=r"firmware_configs\.bundle\.llama eyes"):
        Eyes(path, trusting(path), loaded["dense"])
    eyes._library.cache_clear()


def test_an_unknown_projector_is_quarantined_before_anything_reads_it(
    loaded: dict[str, Loaded], files: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(WeightsQuarantined):
        Eyes(projector(tmp_path / "mmproj.gguf"), trusting(files["dense"]), loaded["dense"])


@pytest.fixture
def mtmd() -> None:
    try:
        eyes._library()
    except EyesMissing:
        pytest.skip("libmtmd is not there (python -m firmware_configs.bundle.llama eyes)")


@pytest.mark.usefixtures("mtmd")
def test_a_picture_becomes_rows_that_change_what_is_said(
    loaded: dict[str, Loaded], open_engine: Open, tmp_path: Path
) -> None:
    path = projector(tmp_path / "mmproj.gguf")
    sight, engine = Eyes(path, trusting(path), loaded["dense"]), open_engine("dense")
    logits = []
    for picture in (PICTURE, 255 - PICTURE, PICTURE):
        seen = sight.look(picture)
        assert [one.rows.shape for one in seen if one.rows is not None] == [(ROWS, WIDTH)]
        engine.rollback(0, 0)
        for one in seen:
            engine.decode([Piece(0, one.tokens, one.rows, wanted="none")])
        logits.append(engine.decode([Piece(0, engine.tokenize("is"))])[0].logits[-1])
    assert np.array_equal(logits[0], logits[2])
    assert np.abs(logits[0] - logits[1]).max() > 0.01
    with pytest.raises(EyesUnfit):
        sight.look(np.zeros((1, 10_000, 3), np.uint8))
    sight.close()


@pytest.mark.usefixtures("mtmd")
def test_what_is_no_projector_of_this_model_is_refused(
    loaded: dict[str, Loaded], files: dict[str, Path], tmp_path: Path
) -> None:
    for path in (projector(tmp_path / "wide.gguf", width=96), files["dense"]):
        with pytest.raises(EyesUnfit):
            Eyes(path, trusting(path), loaded["dense"])
