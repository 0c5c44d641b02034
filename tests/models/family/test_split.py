"""Parts say what the whole says: logits behind a hand-over are the whole model's own, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from models.engine.llama.engine import LlamaEngine, Options
from models.engine.llama.weights import load
from models.engine.port import Floats, Piece
from models.engine.trust import Trust
from models.errors import PrimitiveImpossible, SplitImpossible, WeightsQuarantined
from models.family.manifest import Continuation, read_manifest
from models.family.quantize import quantize
from models.family.splitting import split
from models.family.verify import verify
from models.gguf.header import read_header
from models.gguf.segment import segment_of
from tests.models.engine import tiny
from tests.models.engine.conftest import trusting
from tests.models.engine.test_contract import TOKENS

STEPS = (TOKENS[:9], TOKENS[9:10], TOKENS[10:])


@contextmanager
def opened(path: Path, trust: Trust | None = None, **options: object) -> Iterator[LlamaEngine]:
    weights = load(path, trust or trusting(path))
    settings = {"context_tokens": 256, "batch_tokens": 64, "threads": 1, **options}
    engine = LlamaEngine(weights, Options(**settings))  # type: ignore[arg-type]
    try:
        yield engine
    finally:
        engine.close()
        weights.close()


def whole_logits(path: Path) -> Floats:
    with opened(path) as engine:
        return np.concatenate([engine.decode([Piece(0, step, wanted="all")])[0].logits for step in STEPS])


def relayed(parts: list[Path]) -> Floats:
    """The first part from tokens, each later one from the residual of the one before."""
    last = len(parts) - 1
    rows: list[list[Floats]] = [[] for _ in STEPS]
    carried: list[Floats | None] = [None] * len(STEPS)
    for place, path in enumerate(parts):
        blocks = read_header(path).whole("block_count")
        more = {} if place == last else {"tap": blocks - 1, "ends_at_tap": True}
        with opened(path, **more) as engine:
            for number, step in enumerate(STEPS):
                piece = Piece(0, step if place == 0 else (), carried[number], "all" if place == last else "none")
                output = engine.decode([piece])[0]
                carried[number] = output.hidden
                rows[number].append(output.logits)
    return np.concatenate([one[-1] for one in rows])


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("tied", [False, True])
def test_segments_say_what_the_whole_says(tmp_path: Path, architecture: str, tied: bool) -> None:
    source = tiny.dense(tmp_path / "whole.gguf", architecture=architecture, tied=tied)
    manifest = split(source, tmp_path / "parts", trusting(source), (1, 3))
    assert [member.tier for member in manifest.members] == ["device", "edge", "cloud"]
    paths = [tmp_path / "parts" / str(member.file) for member in manifest.members]
    assert np.array_equal(relayed(paths), whole_logits(source))
    # Nothing was quantised anew, and nothing is carried twice.
    assert sum(path.stat().st_size for path in paths) < 1.4 * source.stat().st_size


def test_a_mixture_of_experts_is_split_as_well(tmp_path: Path) -> None:
    source = tiny.experts(tmp_path / "whole.gguf")
    manifest = split(source, tmp_path / "parts", trusting(source), (2,))
    paths = [tmp_path / "parts" / str(member.file) for member in manifest.members]
    assert np.array_equal(relayed(paths), whole_logits(source))


@pytest.mark.parametrize("kind", ["q8_0", "q4_0"])
def test_blocks_of_a_quantised_file_are_copied_as_they_are(tmp_path: Path, kind: str) -> None:
    plain = tiny.dense(tmp_path / "plain.gguf")
    source = tmp_path / "whole.gguf"
    quantize(plain, source, kind)
    assert source.stat().st_size < plain.stat().st_size
    manifest = split(source, tmp_path / "parts", trusting(source), (2,))
    paths = [tmp_path / "parts" / str(member.file) for member in manifest.members]
    assert np.array_equal(relayed(paths), whole_logits(source))


@pytest.mark.parametrize("kind", ["f32", "q8_0"])
def test_a_family_file_gives_its_members_and_what_goes_on_from_each(tmp_path: Path, kind: str) -> None:
    source = tiny.nested(tmp_path / "kin.gguf")
    if kind != "f32":
        quantize(source, tmp_path / "small.gguf", kind)
        source = tmp_path / "small.gguf"
    trust, folder = trusting(source), tmp_path / "parts"
    manifest = split(source, folder, trust)
    assert [(member.name, member.exit) for member in manifest.members] == [("small", 2), ("large", 4)]
    assert manifest == read_manifest(folder)
    small, large = (folder / str(member.file) for member in manifest.members)
    (onward,) = manifest.continuations
    assert (onward.of, onward.after, onward.last_block) == ("large", 1, 4)
    expected = whole_logits(large)
    assert not np.allclose(whole_logits(small), expected, atol=0.1)
    # The device answers with its own exit, and hands over the trunk below it: nothing is computed twice.
    with opened(small, tap=onward.after) as device, opened(folder / onward.file) as edge:
        rows = []
        for step in STEPS:
            hidden = device.decode([Piece(0, step)])[0].hidden
            rows.append(edge.decode([Piece(0, hidden=hidden, wanted="all")])[0].logits)
    assert np.array_equal(np.concatenate(rows), expected)
    # All of it is known, since what it came from is.
    assert verify(folder, trust).faults == ()
    assert all(one.accepted for one in verify(folder, trust).files)


def test_segments_do_only_what_they_can(tmp_path: Path) -> None:
    source = tiny.dense(tmp_path / "whole.gguf")
    manifest = split(source, tmp_path / "parts", trusting(source), (2,))
    first, last = (tmp_path / "parts" / str(member.file) for member in manifest.members)
    with opened(first) as engine:
        assert engine.facts.source == manifest.source_sha256
        with pytest.raises(PrimitiveImpossible, match="another segment"):
            engine.decode([Piece(0, TOKENS)])
    with opened(last) as engine:
        assert (engine.facts.first_block, engine.facts.whole_blocks) == (2, 4)
        with pytest.raises(PrimitiveImpossible, match="begins at block 2"):
            engine.decode([Piece(0, TOKENS)])


@pytest.mark.parametrize("cuts", [(), (0,), (4,), (3, 1), (2, 2), (-1,)])
def test_cuts_without_sense_are_refused(tmp_path: Path, cuts: tuple[int, ...]) -> None:
    source = tiny.dense(tmp_path / "whole.gguf")
    with pytest.raises(SplitImpossible):
        split(source, tmp_path / "parts", trusting(source), cuts)
    assert not (tmp_path / "parts").exists()


@pytest.mark.parametrize("kind", ["window", "recurrent", "hybrid"])
def test_what_is_not_llama_like_is_refused(tmp_path: Path, kind: str) -> None:
    source = tiny.KINDS[kind](tmp_path / "whole.gguf")
    with pytest.raises(SplitImpossible, match="architecture"):
        split(source, tmp_path / "parts", trusting(source), (2,))


def test_unknown_weights_are_not_split(tmp_path: Path) -> None:
    source = tiny.dense(tmp_path / "whole.gguf")
    with pytest.raises(WeightsQuarantined):
        split(source, tmp_path / "parts", Trust(tmp_path), (2,))


def test_what_was_swapped_in_a_family_is_found(tmp_path: Path) -> None:
    source = tiny.nested(tmp_path / "kin.gguf")
    trust, folder = trusting(source), tmp_path / "parts"
    manifest = split(source, folder, trust)
    other = tiny.nested(tmp_path / "other.gguf", seed=9)
    foreign = split(other, tmp_path / "foreign", trusting(other))
    one, strange = manifest.continuations[0], foreign.continuations[0]
    (folder / one.file).write_bytes((tmp_path / "foreign" / strange.file).read_bytes())
    faults = " ".join(verify(folder, trust).faults)
    assert "is not the file" in faults
    assert "cut from another file" in faults
    (folder / one.file).unlink()
    assert "could not be" in " ".join(verify(folder, trust).faults) or "No such file" in " ".join(
        verify(folder, trust).faults
    )
    assert isinstance(one, Continuation)
    segment = segment_of(read_header(folder / str(manifest.members[0].file)))
    assert segment is not None
    assert segment.source == manifest.source_sha256
