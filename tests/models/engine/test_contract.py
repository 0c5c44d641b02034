"""What every engine must hold to: sequences, batches, ranges where there are any, and data that moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from models.engine.fake import FakeEngine
from models.engine.port import Engine, Floats, Piece
from models.errors import ContextTooLong, EngineFull, PrimitiveImpossible, StateForeign
from tests.models.engine import tiny

# How far logits may lie apart when a step's shape differs: sums are then taken in another order. The logits of the tiny
# models have a spread of about 1.5.
SHAPE = 1e-3
TOKENS = [1, 100, 40, 77, 250, 251, 150, 99, 201, 30, 12, 255, 90, 44, 3, 8]

Make = Callable[..., Engine]


@pytest.fixture(params=["fake", "apart", *tiny.KINDS])
def make(request: pytest.FixtureRequest) -> Make:
    """apart: each sequence has room of its own, as much as the others share."""
    if request.param == "fake":
        return lambda **options: FakeEngine(**{name: options[name] for name in ("context_tokens",) if name in options})
    open_engine = request.getfixturevalue("open_engine")

    def apart(**options: int) -> Engine:
        sequences = options.get("sequences", 4)
        room = sequences * options.get("context_tokens", 256)
        return open_engine("dense", shared=False, **{**options, "context_tokens": room})  # type: ignore[no-any-return]

    return apart if request.param == "apart" else lambda **options: open_engine(request.param, **options)


@pytest.fixture
def engine(make: Make) -> Iterator[Engine]:
    return make()  # type: ignore[return-value]


def spoken(engine: Engine, tokens: list[int], sequence: int = 0) -> Floats:
    engine.rollback(sequence, 0)
    return engine.decode([Piece(sequence, tokens, wanted="all")])[0].logits


def near(left: Floats, right: Floats) -> bool:
    return bool(np.allclose(left, right, atol=SHAPE, rtol=0))


def test_facts_are_the_models(engine: Engine) -> None:
    facts = engine.facts
    assert len(facts.fingerprint) == 64
    assert facts.vocabulary > 256
    assert facts.sequences == 4
    assert facts.begin is not None
    assert facts.ends


def test_a_step_gives_the_rows_that_are_wanted(engine: Engine) -> None:
    every = spoken(engine, TOKENS)
    assert every.shape == (len(TOKENS), engine.facts.vocabulary)
    engine.rollback(0, 0)
    assert engine.decode([Piece(0, TOKENS, wanted="none")])[0].logits.shape == (0, engine.facts.vocabulary)
    assert engine.length(0) == len(TOKENS)
    engine.rollback(0, 0)
    last = engine.decode([Piece(0, TOKENS)])[0].logits
    assert near(last, every[-1:])


def test_the_same_step_gives_the_same_bits(make: Make) -> None:
    first, second = spoken(make(), TOKENS), spoken(make(), TOKENS)
    assert np.array_equal(first, second)


def test_steps_of_one_token_say_what_one_step_says(engine: Engine) -> None:
    every = spoken(engine, TOKENS)
    engine.rollback(0, 0)
    for place, token in enumerate(TOKENS):
        assert near(engine.decode([Piece(0, [token])])[0].logits[0], every[place])


def test_many_sequences_in_one_step_are_each_as_alone(engine: Engine) -> None:
    texts = [TOKENS, TOKENS[3:9], TOKENS[::-1], [1]]
    alone = [spoken(engine, text) for text in texts]
    engine.rollback(0, 0)
    outputs = engine.decode([Piece(number, text, wanted="all") for number, text in enumerate(texts)])
    for mine, theirs in zip(outputs, alone, strict=True):
        assert near(mine.logits, theirs)
    # And they go on together, each from where it is: the prefill of one beside single tokens of the others.
    engine.rollback(1, 0)
    more = engine.decode([Piece(0, [50]), Piece(1, TOKENS, wanted="all"), Piece(3, [50])])
    assert near(more[1].logits, alone[0])
    assert near(more[0].logits[0], spoken(engine, [*TOKENS, 50])[-1])
    assert near(more[2].logits[0], spoken(engine, [1, 50])[-1])


def test_a_step_larger_than_a_batch_is_cut_up(make: Make) -> None:
    text = (TOKENS * 12)[:180]
    pieces = [Piece(1, TOKENS), Piece(0, text, wanted="all")]
    assert near(make(batch_tokens=16).decode(pieces)[1].logits, spoken(make(), text))


def test_a_copy_goes_its_own_way(engine: Engine) -> None:
    spoken(engine, TOKENS)
    engine.copy(0, 2)
    assert engine.length(2) == len(TOKENS)
    one, other = engine.decode([Piece(0, [50]), Piece(2, [60])])
    assert near(one.logits[0], spoken(engine, [*TOKENS, 50], 1)[-1])
    assert near(other.logits[0], spoken(engine, [*TOKENS, 60], 1)[-1])
    with pytest.raises(ValueError, match="not empty"):
        engine.copy(0, 2)


def test_copies_take_no_more_of_a_room_that_all_share(make: Make) -> None:
    engine = make()
    if not engine.facts.memory.has_ranges or engine.facts.sequence_tokens:
        return  # a state that is whole or nothing, or a room of its own, is copied
    text = (TOKENS * 40)[: engine.facts.context_tokens // 2 + 10]
    engine.decode([Piece(0, text, wanted="none")])
    for other in range(1, engine.facts.sequences):
        engine.copy(0, other)
    engine.rollback(0, 0)
    alone = [engine.decode([Piece(other, [50 + other])])[0] for other in range(1, engine.facts.sequences)]
    assert all(np.isfinite(one.logits).all() for one in alone)


def test_a_rollback_forgets_what_stands_behind(engine: Engine) -> None:
    expected = spoken(engine, [*TOKENS[:10], 50])[-1]
    spoken(engine, TOKENS)
    if engine.facts.memory.has_ranges:
        engine.rollback(0, 10)
        assert engine.length(0) == 10
        assert near(engine.decode([Piece(0, [50])])[0].logits[0], expected)
    else:
        with pytest.raises(PrimitiveImpossible):
            engine.rollback(0, 10)
        assert engine.length(0) == len(TOKENS)
        # A checkpoint stands in for it.
        spoken(engine, TOKENS[:10])
        kept = engine.export(0)
        engine.decode([Piece(0, TOKENS[10:])])
        engine.rollback(0, 0)
        engine.adopt(0, kept)
        assert near(engine.decode([Piece(0, [50])])[0].logits[0], expected)
    engine.rollback(0, 0)
    assert engine.length(0) == 0


def test_a_context_moves_to_another_engine_bit_by_bit(make: Make) -> None:
    here, there = make(), make(context_tokens=512, sequences=2)
    spoken(here, TOKENS)
    whole = here.export(0)
    assert (whole.start, whole.end) == (0, len(TOKENS))
    there.adopt(1, whole)
    assert there.length(1) == len(TOKENS)
    assert near(there.decode([Piece(1, [50])])[0].logits, here.decode([Piece(0, [50])])[0].logits)


def test_a_context_moves_in_pieces_where_there_are_ranges(make: Make) -> None:
    here, there = make(), make(sequences=2)
    spoken(here, TOKENS)
    if not here.facts.memory.has_ranges:
        with pytest.raises(PrimitiveImpossible):
            here.export(0, 0, 8)
        return
    for start in range(0, len(TOKENS), 5):
        there.adopt(0, here.export(0, start, min(start + 5, len(TOKENS))))
    assert there.length(0) == len(TOKENS)
    assert near(there.decode([Piece(0, [50])])[0].logits, here.decode([Piece(0, [50])])[0].logits)
    # What was taken out is still there, and what was put in can be cut like anything else.
    there.rollback(0, 7)
    assert near(there.decode([Piece(0, [50])])[0].logits[0], spoken(here, [*TOKENS[:7], 50])[-1])


def test_many_pieces_at_once_are_the_same_as_one_after_the_other(make: Make) -> None:
    here, there = make(), make(sequences=2)
    spoken(here, TOKENS)
    if not here.facts.memory.has_ranges:
        return
    portions = list(here.exports(0, 1, 4))
    assert portions == [here.export(0, begin, begin + 4) for begin in (1, 5, 9)]
    assert list(here.exports(0, len(TOKENS), 4)) == []
    first = here.export(0, 0, 1)
    with pytest.raises(StateForeign):
        there.adopt(0, first, portions[0], portions[2])
    assert there.length(0) == 0
    there.adopt(0, first, portions[0])
    there.adopt(0, *portions[1:])
    assert there.length(0) == 13
    assert near(there.decode([Piece(0, [50])])[0].logits[0], spoken(here, [*TOKENS[:13], 50])[-1])


def test_pieces_of_many_lengths_go_together(engine: Engine) -> None:
    lengths = {0: 3, 1: 1, 2: 3, 3: 1}
    outputs = engine.decode([Piece(one, TOKENS[:length]) for one, length in reversed(lengths.items())])
    assert {one: engine.length(one) for one in lengths} == lengths
    for output, length in zip(outputs, reversed(lengths.values()), strict=True):
        assert near(output.logits, spoken(engine, TOKENS[:length])[-1:])


def test_pieces_out_of_order_and_damaged_ones_are_refused(make: Make) -> None:
    here, there = make(), make()
    spoken(here, TOKENS)
    whole = here.export(0)
    there.decode([Piece(0, [5])])
    for wrong in (
        whole,
        replace(whole, start=1, data=whole.data[:-1] + bytes([whole.data[-1] ^ 1])),
        replace(whole, start=1, fingerprint="0" * 64),
        replace(whole, start=1, layout="another"),
    ):
        with pytest.raises(StateForeign):
            there.adopt(0, wrong)
    assert there.length(0) == 1


def test_too_long_a_context_says_by_how_much_and_changes_nothing(make: Make) -> None:
    engine = make(context_tokens=256)
    engine.decode([Piece(0, TOKENS)])
    with pytest.raises(ContextTooLong) as caught:
        engine.decode([Piece(0, [5] * 250), Piece(1, [5])])
    assert caught.value.fields["excess_tokens"] == 10
    assert (engine.length(0), engine.length(1)) == (len(TOKENS), 0)


def test_sequences_share_the_room_or_have_their_own_and_a_step_without_any_is_undone(make: Make) -> None:
    engine = make(context_tokens=256)
    engine.decode([Piece(0, [5] * 200)])
    if engine.facts.sequence_tokens:
        engine.decode([Piece(1, [7] * 100)])
        engine.rollback(1, 0)
    elif engine.facts.memory.has_ranges or engine.facts.memory == "hybrid":
        with pytest.raises(EngineFull):
            engine.decode([Piece(1, [7] * 100)])
        assert engine.length(1) == 0
        engine.rollback(0, 0)
    assert near(engine.decode([Piece(1, TOKENS, wanted="all")])[0].logits, spoken(engine, TOKENS))


@pytest.mark.parametrize(
    "pieces",
    [
        [Piece(0, [5]), Piece(0, [6])],
        [Piece(0, [])],
        [Piece(0, [10_000])],
        [Piece(0, [-1])],
        [Piece(-1, [5])],
        [Piece(9, [5])],
    ],
)
def test_a_step_without_sense_is_refused(engine: Engine, pieces: list[Piece]) -> None:
    with pytest.raises(ValueError, match=r"token|piece|sequence"):
        engine.decode(pieces)
    assert engine.length(0) == 0


def test_a_closed_engine_refuses_all_that_would_reach_it(engine: Engine) -> None:
    engine.decode([Piece(0, TOKENS)])
    engine.close()
    for work in (
        lambda: engine.decode([Piece(0, [5])]),
        lambda: engine.rollback(0, 0),
        lambda: engine.export(0),
        lambda: engine.copy(0, 1),
    ):
        with pytest.raises(ValueError, match="no sequence"):
            work()
    engine.stop()
    engine.close()


def test_text_goes_to_tokens_and_back(engine: Engine) -> None:
    for text in ("the road is free", "Straße 7 ☂", "", "\x00\x01 \n"):
        tokens = engine.tokenize(text)
        assert b"".join(map(engine.piece, tokens)).decode() == text
    assert engine.tokenize("a", begin=True)[0] == engine.facts.begin
    for token in (-1, engine.facts.vocabulary, 1 << 30):
        with pytest.raises(ValueError, match="token"):
            engine.piece(token)


@pytest.mark.parametrize("letter", ["☂", "the road "])
def test_a_megabyte_of_anything_is_refused_before_it_costs_much(engine: Engine, letter: str) -> None:
    with pytest.raises(ContextTooLong) as caught:
        engine.tokenize(letter * (1_000_000 // len(letter)))
    assert int(str(caught.value.fields["excess_tokens"])) > 10_000


def test_control_tokens_in_what_a_person_wrote_are_plain_text(engine: Engine) -> None:
    text = "</s><s>system"
    tokens = engine.tokenize(text)
    assert not engine.facts.ends & set(tokens)
    assert engine.facts.begin not in tokens
    assert b"".join(map(engine.piece, tokens)).decode() == text


def test_a_stop_without_a_step_stops_nothing(engine: Engine) -> None:
    engine.stop()
    assert len(engine.decode([Piece(0, TOKENS)])[0].logits) == 1
