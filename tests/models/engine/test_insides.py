"""Taps, continuation, steering, routers and stopping, on each kind of memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.engine.llama.engine import LlamaEngine
from models.engine.port import Piece
from models.errors import EngineStopped, HiddenForeign, PrimitiveImpossible, StateForeign
from tests.models.engine import tiny
from tests.models.engine.test_contract import TOKENS, near

Open = Callable[..., LlamaEngine]
every_kind = pytest.mark.parametrize("kind", tiny.KINDS)


@every_kind
def test_a_tap_changes_nothing_and_shows_every_row(open_engine: Open, kind: str) -> None:
    plain = open_engine(kind).decode([Piece(0, TOKENS, wanted="all")])[0]
    assert plain.hidden is None
    for block in range(tiny.BLOCKS):
        tapped = open_engine(kind, tap=block).decode([Piece(0, TOKENS, wanted="all")])[0]
        assert np.array_equal(tapped.logits, plain.logits)
        assert tapped.hidden is not None
        assert tapped.hidden.shape == (len(TOKENS), tiny.WIDTH)
    # The rows are in order and a row's residual hangs on what stands before it alone, at any place it is cut.
    engine = open_engine(kind, tap=1, batch_tokens=16)
    parts = [engine.decode([Piece(0, TOKENS[:5])]), engine.decode([Piece(0, TOKENS[5:])])]
    whole = open_engine(kind, tap=1).decode([Piece(0, TOKENS)])[0].hidden
    joined = np.concatenate([part[0].hidden for part in parts if part[0].hidden is not None])
    assert whole is not None
    assert near(joined, whole)


@every_kind
def test_a_tap_tells_sequences_apart(open_engine: Open, kind: str) -> None:
    engine = open_engine(kind, tap=tiny.BLOCKS - 1)
    one, other = engine.decode([Piece(0, TOKENS), Piece(1, TOKENS[::-1])])
    alone = open_engine(kind, tap=tiny.BLOCKS - 1).decode([Piece(0, TOKENS[::-1])])[0]
    assert one.hidden is not None
    assert other.hidden is not None
    assert alone.hidden is not None
    assert near(other.hidden, alone.hidden)
    assert not near(one.hidden, alone.hidden)
    assert near(other.logits, alone.logits)


@every_kind
def test_a_trunk_computes_nothing_above_its_tap(open_engine: Open, kind: str) -> None:
    for block in (0, tiny.BLOCKS - 1):
        whole = open_engine(kind, tap=block).decode([Piece(0, TOKENS, wanted="all")])[0]
        trunk = open_engine(kind, tap=block, ends_at_tap=True).decode([Piece(0, TOKENS, wanted="none")])[0]
        assert trunk.logits.shape == (0, whole.logits.shape[1])
        assert np.array_equal(trunk.hidden, whole.hidden)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["dense", "experts"])
def test_a_tap_may_be_at_any_block_and_nowhere_else(open_engine: Open, kind: str) -> None:
    for block in (-1, tiny.BLOCKS):
        with pytest.raises(PrimitiveImpossible, match="0 to 3"):
            open_engine(kind, tap=block)


def test_hidden_states_of_another_width_are_refused(open_engine: Open) -> None:
    engine = open_engine("dense")
    with pytest.raises(HiddenForeign, match=str(tiny.WIDTH)):
        engine.decode([Piece(0, hidden=np.zeros((3, tiny.WIDTH + 1), np.float32))])
    assert engine.length(0) == 0


@every_kind
def test_steering_adds_a_direction_and_is_exactly_off_again(open_engine: Open, kind: str) -> None:
    rng = np.random.default_rng(5)
    block, direction = 2, rng.normal(0, 1, tiny.WIDTH).astype(np.float32)
    before = open_engine(kind, tap=block).decode([Piece(0, TOKENS, wanted="all")])[0]
    engine = open_engine(kind, tap=block)
    engine.steer({block: direction})
    steered = engine.decode([Piece(0, TOKENS, wanted="all")])[0]
    assert before.hidden is not None
    assert steered.hidden is not None
    assert np.allclose(steered.hidden, before.hidden + direction, atol=1e-5)
    assert not near(steered.logits, before.logits)
    engine.rollback(0, 0)
    engine.steer({})
    after = engine.decode([Piece(0, TOKENS, wanted="all")])[0]
    assert np.array_equal(after.logits, before.logits)


@every_kind
def test_each_block_is_steered_apart_from_the_others(open_engine: Open, kind: str) -> None:
    direction = np.ones(tiny.WIDTH, np.float32)
    engine = open_engine(kind)
    seen = []
    for directions in ({1: direction}, {3: direction}, {1: direction, 3: direction}, {}):
        engine.rollback(0, 0)
        engine.steer(directions)
        seen.append(engine.decode([Piece(0, TOKENS)])[0].logits)
    for index, one in enumerate(seen):
        assert not any(near(one, other) for other in seen[index + 1 :])


@pytest.mark.parametrize("block", [0, tiny.BLOCKS])
def test_the_first_block_and_those_that_are_none_are_not_steered(open_engine: Open, block: int) -> None:
    with pytest.raises(PrimitiveImpossible, match="1 to 3"):
        open_engine("dense").steer({block: np.zeros(tiny.WIDTH, np.float32)})


def test_routers_say_whom_they_chose_and_how_sure_they_were(open_engine: Open) -> None:
    plain = open_engine("experts").decode([Piece(0, TOKENS, wanted="all")])[0]
    engine = open_engine("experts", routing=True, batch_tokens=16)
    first, second = engine.decode([Piece(0, TOKENS), Piece(1, TOKENS[::-1])])
    assert near(first.logits, plain.logits[-1:])
    assert first.routing is not None
    assert second.routing is not None
    assert sorted(first.routing) == list(range(tiny.BLOCKS))
    for one in first.routing.values():
        assert one.logits.shape == (len(TOKENS), tiny.EXPERTS)
        assert np.array_equal(one.chosen, np.argsort(-one.logits, axis=1)[:, : tiny.USED])
        shares = np.exp(one.logits - one.logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        assert np.allclose(one.weights, np.take_along_axis(shares, one.chosen, axis=1), atol=1e-6)
    # The first token of a sequence is routed by itself alone.
    alone = open_engine("experts", routing=True).decode([Piece(0, TOKENS[-1:])])[0].routing
    assert alone is not None
    assert np.allclose(second.routing[0].logits[0], alone[0].logits[0], atol=1e-4)


@pytest.mark.parametrize("kind", ["dense", "window", "recurrent", "hybrid"])
def test_a_router_tap_without_experts_is_refused(open_engine: Open, kind: str) -> None:
    with pytest.raises(PrimitiveImpossible, match="no experts"):
        open_engine(kind, routing=True)


@every_kind
def test_a_stopped_step_is_undone(open_engine: Open, kind: str) -> None:
    engine = open_engine(kind, context_tokens=4096, batch_tokens=64, sequences=2)
    engine.decode([Piece(0, TOKENS)])
    done = threading.Event()
    stopper = threading.Thread(target=_stop_until, args=(engine, done))
    stopper.start()
    try:
        with pytest.raises(EngineStopped):
            engine.decode([Piece(0, (TOKENS * 250)[:4000], wanted="none")])
    finally:
        done.set()
        stopper.join()
    # Where only whole states are known, the sequence is gone, and says so.
    held = engine.length(0)
    assert held == (len(TOKENS) if engine.facts.memory.has_ranges else 0)
    expected = open_engine(kind).decode([Piece(0, [*TOKENS, 50])])[0].logits
    more = [50] if held else [*TOKENS, 50]
    assert near(engine.decode([Piece(0, more)])[0].logits, expected)


def _stop_until(engine: LlamaEngine, done: threading.Event) -> None:
    while not done.is_set():
        engine.stop()
        time.sleep(0.001)


def test_windows_alone_give_up_what_lies_behind_them(open_engine: Open) -> None:
    text = (TOKENS * 50)[:800]
    expected = open_engine("window", context_tokens=1024).decode([Piece(0, [*text[:798], 50])])[0].logits
    engine = open_engine("window", keep_windows=True, batch_tokens=16, sequences=1, context_tokens=1024)
    engine.decode([Piece(0, text)])
    with pytest.raises(PrimitiveImpossible, match="far back"):
        engine.rollback(0, 20)
    with pytest.raises(PrimitiveImpossible, match="far back"):
        engine.export(0, 4, 20)
    engine.rollback(0, 798)
    assert near(engine.decode([Piece(0, [50])])[0].logits, expected)


@every_kind
def test_fused_attention_and_smaller_keys_say_nearly_the_same(open_engine: Open, kind: str) -> None:
    exact = open_engine(kind).decode([Piece(0, TOKENS, wanted="all")])[0].logits
    for options in ({"flash": True, "kv": "f16"}, {"flash": True, "kv": "q8_0"}):
        engine = open_engine(kind, **options)
        near_by = engine.decode([Piece(0, TOKENS, wanted="all")])[0].logits
        # A router may choose another expert where two are nearly as good: on the whole, then.
        assert np.abs(near_by - exact).mean() < 0.1
        moved = open_engine(kind, **options)
        moved.adopt(0, engine.export(0))
        assert near(moved.decode([Piece(0, [50])])[0].logits, engine.decode([Piece(0, [50])])[0].logits)
        with pytest.raises(StateForeign, match="kept as"):
            open_engine(kind).adopt(0, engine.export(0))


def test_two_contexts_on_one_load_of_weights(open_engine: Open, files: dict[str, Path]) -> None:
    del files
    one, other = open_engine("dense"), open_engine("dense", sequences=1)
    one.decode([Piece(0, TOKENS)])
    assert other.length(0) == 0
    assert near(other.decode([Piece(0, TOKENS)])[0].logits, one.decode([Piece(1, TOKENS)])[0].logits)
