"""Functions that may be called: the grammar that makes calls, and how calls are told from text."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine.generate import generate
from models.engine.llama.engine import LlamaEngine, Options
from models.engine.llama.weights import load
from models.engine.sampling import Sampling
from models.errors import RequestUnserved, SamplingInvalid, SchemaRefused
from models.serving.tools import MARK, Call, CallReader, Tool, Toolbox, call_said, calls_in
from tests.models.engine import tiny
from tests.models.engine.conftest import trusting

LIGHT = Tool("light", "", {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]})
TREE = Tool(
    "tree",
    "",
    {
        "type": "object",
        "properties": {"leaf": {"$ref": "#/$defs/leaf"}},
        "required": ["leaf"],
        "$defs": {"leaf": {"enum": ["green", "brown"]}},
    },
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaEngine]:
    path = tiny.dense(tmp_path_factory.mktemp("tools") / "dense.gguf")
    weights = load(path, trusting(path))
    engine = LlamaEngine(weights, Options(context_tokens=1024, threads=1))
    yield engine
    engine.close()
    weights.close()


def obeys(engine: LlamaEngine, box: Toolbox, text: str) -> bool:
    """Whether an answer of exactly this text is allowed."""
    grammar = box.grammar()
    assert grammar is not None
    masker = engine.masker(grammar)
    tokens = [*engine.tokenize(text), tiny.END]
    try:
        for token in tokens:
            if not masker.allows(token):
                return False
            masker.accept(token)
        return True
    finally:
        masker.close()


@pytest.mark.parametrize(
    ("text", "may", "must"),
    [
        ('<call>[{"name": "light", "arguments": {"on": true}}]', True, True),
        (
            '<call>[{"name": "tree", "arguments": {"leaf": "brown"}}, {"name": "light", "arguments": {"on": false}}]',
            True,
            True,
        ),
        ('<call>[{"name": "light", "arguments": {"on": 3}}]', False, False),
        ('<call>[{"name": "door", "arguments": {}}]', False, False),
        ("<call>[]", False, False),
        ("<call> me", False, False),
        ("The road <call> is free", True, False),
        ("<cal", True, False),
        ("<b>free</b>\n<call>", True, False),
        ("<<call>", True, False),
        ("", True, False),
    ],
)
def test_an_answer_is_calls_or_a_text_that_does_not_begin_like_one(
    engine: LlamaEngine, text: str, may: bool, must: bool
) -> None:
    tools = (LIGHT, TREE)
    assert obeys(engine, Toolbox(tools), text) == may
    assert obeys(engine, Toolbox(tools, "required"), text) == must


def test_one_call_where_one_was_wished(engine: LlamaEngine) -> None:
    one = '{"name": "light", "arguments": {"on": true}}'
    for box in (Toolbox((LIGHT,), "required", parallel=False), Toolbox((LIGHT, TREE), "required", "light")):
        assert obeys(engine, box, f"{MARK}[{one}]")
        assert not obeys(engine, box, f"{MARK}[{one}, {one}]")


@pytest.mark.parametrize("seed", range(6))
def test_what_is_said_under_the_grammar_can_always_be_read(engine: LlamaEngine, seed: int) -> None:
    engine.rollback(0, 0)
    box = Toolbox((LIGHT, TREE), "required")
    sampling = Sampling(temperature=1.0, seed=seed, grammar=box.grammar(), max_tokens=400)
    reader = CallReader(active=True)
    steps = list(generate(engine, 0, [1, 5, 9], sampling))
    assert "".join(reader.add(step.text) for step in steps) == ""
    text, calls = reader.end()
    assert text == ""
    assert steps[-1].ended == "stop"
    for call in calls:
        given = json.loads(call.arguments)
        assert given["on"] in (True, False) if call.name == "light" else given["leaf"] in ("green", "brown")
    assert 1 <= len(calls) <= 8


@given(st.text(alphabet="<cal>[x", max_size=12), st.lists(st.integers(0, 12), max_size=4))
def test_text_is_told_as_it_was_said_however_it_was_cut(text: str, cuts: list[int]) -> None:
    places = [0, *sorted(min(one, len(text)) for one in cuts), len(text)]
    reader = CallReader(active=True)
    told = "".join(reader.add(text[a:b]) for a, b in itertools.pairwise(places))
    rest, calls = reader.end()
    assert calls == []
    assert told + rest == ("" if text.startswith(MARK) else text)
    # Without tools even a call is a text.
    idle = CallReader(active=False)
    assert idle.add(text) == text
    assert idle.end() == ("", [])


@given(st.integers(0, 200))
def test_of_an_array_cut_short_the_whole_calls_are_read(length: int) -> None:
    calls = [Call("light", '{"on": true}'), Call("tree", '{"leaf": "a ] , } \\" b"}')]
    text = call_said(calls).text.removeprefix(MARK)
    found = calls_in(text[:length])
    assert found == calls[: len(found)]
    assert len(found) == 2 or length < len(text)


@pytest.mark.parametrize(
    ("tools", "more"),
    [
        ((LIGHT, LIGHT), {}),
        ((Tool("two words", "", {}),), {}),
        ((LIGHT,), {"named": "door"}),
        ((), {"chosen": "required"}),
        (tuple(Tool(f"t{one}", "", {}) for one in range(65)), {}),
    ],
)
def test_tools_that_make_no_sense_are_refused(tools: tuple[Tool, ...], more: dict[str, str]) -> None:
    with pytest.raises(RequestUnserved):
        Toolbox(tools, **more)  # type: ignore[arg-type]


def test_a_schema_that_can_not_be_held_to_is_refused() -> None:
    with pytest.raises(SchemaRefused, match="pattern"):
        Toolbox((Tool("a", "", {"type": "string", "pattern": "x"}),)).grammar()


def test_a_schema_and_every_token_forbidden_is_no_answer(engine: LlamaEngine) -> None:
    engine.rollback(0, 0)
    forbidden = Sampling(
        grammar=Toolbox((LIGHT,), "required").grammar(),
        bias={token: float("-inf") for token in range(engine.facts.vocabulary)},
    )
    with pytest.raises(SamplingInvalid):
        list(generate(engine, 0, [1, 5], forbidden))
