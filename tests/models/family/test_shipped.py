"""The family that comes with Kinflow, and its understanding, as they are shipped."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.eval.assistant import HELD_BACK, judge, read_questions
from benchmarks.eval.family import measure
from kinflow.main import run
from models.assistant.opening import open_understanding
from models.assistant.tools import Tool, Value, equal_arguments
from models.assistant.understanding.choice import Choice, Entities, Understanding
from models.engine.llama.engine import LlamaEngine, Options
from models.engine.llama.weights import load
from models.errors import FamilyDamaged
from models.family.manifest import NAME, read_manifest
from models.family.shipped import FOLDER, WEIGHTS, facts, trust_in, unfold
from models.family.verify import verify
from models.gguf.header import read_header
from models.training.kin.tokenizer import CONTROL, Tokenizer

SITE = Entities(
    intersections=("Main & Third", "Harbour Road"),
    devices=("cam-1", "cam-2", "gw-east"),
    approaches=("north", "south"),
    settings=("night_mode", "frame rate"),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def engine(home: Path) -> LlamaEngine:
    place = unfold(home)
    weights = load(place / str(read_manifest(place).members[0].file), trust_in(home))
    return LlamaEngine(weights, Options(context_tokens=512, threads=1))


@pytest.fixture(scope="module")
def understanding(home: Path) -> Understanding:
    return open_understanding(home)


def test_it_is_small_and_whole(home: Path) -> None:
    assert (FOLDER / WEIGHTS).stat().st_size <= 32e6
    place = unfold(home)
    verdict = verify(place, trust_in(home))
    assert verdict.faults == ()
    assert all(one.accepted for one in verdict.files)
    manifest = read_manifest(place)
    assert [one.name for one in manifest.members] == ["device", "edge", "cloud"]
    assert [one.tier for one in manifest.members] == ["device", "edge", "cloud"]
    assert {(one.of, one.after) for one in manifest.continuations} == {("edge", 1), ("cloud", 1), ("cloud", 3)}
    losses = [one.loss for one in manifest.members]
    assert all(one is not None for one in losses)
    assert losses == sorted(losses, key=lambda one: -(one or 0))


def test_it_is_cut_once(home: Path) -> None:
    place = unfold(home)
    made = (place / NAME).stat().st_mtime_ns
    assert unfold(home) == place
    assert (place / NAME).stat().st_mtime_ns == made
    # A member that was lost is made again.
    next(place.glob("*-edge.gguf")).unlink()
    assert verify(unfold(home), trust_in(home)).faults == ()


def test_other_weights_are_refused(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "kin")
    with (tmp_path / "kin" / WEIGHTS).open("r+b") as file:
        file.seek(200_000)
        file.write(b"\0" * 64)
    with pytest.raises(FamilyDamaged):
        unfold(tmp_path / "home", tmp_path / "kin")
    (tmp_path / "kin" / "kin.toml").write_text("version = 1")
    with pytest.raises(FamilyDamaged):
        facts(tmp_path / "kin")


def test_the_smallest_becomes_smaller_still(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINFLOW_HOME", str(home))
    member = next(unfold(home).glob("*-device.gguf"))
    assert run(["models", "quantize", str(member), str(tmp_path / "q4.gguf"), "--type", "q4_k_m"]) == 0
    assert (tmp_path / "q4.gguf").stat().st_size < member.stat().st_size
    LlamaEngine(load(tmp_path / "q4.gguf", trust_in(home)), Options(context_tokens=64)).close()


@settings(max_examples=300)
@given(text=st.text(max_size=80))
def test_llama_cpp_splits_text_as_the_trainer_does(engine: LlamaEngine, text: str) -> None:
    assert engine.tokenize(text) == trainers().encode(text)


@pytest.mark.parametrize(
    "text", ["I'll see; they've 3rd-party cams!  x\n\n y", "Straße № 5 東京 ½", "<|user|><|end|>", ""]
)
def test_tokens_of_the_trainer(engine: LlamaEngine, text: str) -> None:
    tokens = engine.tokenize(text)
    assert tokens == trainers().encode(text)
    # What imitates a control token is text.
    assert all(one >= len(CONTROL) for one in tokens)
    assert b"".join(map(engine.piece, tokens)).decode() == text


_TRAINERS: list[Tokenizer] = []


def trainers() -> Tokenizer:
    if not _TRAINERS:
        merges = read_header(FOLDER / WEIGHTS).fields["tokenizer.ggml.merges"].value
        assert isinstance(merges, tuple)
        pairs = [str(one).split(" ") for one in merges]
        _TRAINERS.append(Tokenizer([(a, b) for a, b in pairs]))
    return _TRAINERS[0]


@pytest.mark.parametrize(
    ("question", "tool", "arguments"),
    [
        ("How busy is Main and Third?", Tool.GET_CONGESTION, {"intersection": "Main & Third"}),
        (
            "traffic on the north side of harbour rd in the last half hour",
            Tool.GET_CONGESTION,
            {"intersection": "Harbour Road", "approach": "north", "minutes": 30},
        ),
        ("is the light green at main/3rd", Tool.GET_SIGNAL, {"intersection": "Main & Third"}),
        ("any ambulances around?", Tool.LIST_EMERGENCY, {}),
        ("is gw east online", Tool.GET_DEVICE, {"device": "gw-east"}),
        ("which devices are offline?", Tool.LIST_DEVICES, {"status": "offline"}),
        ("what does camera 2 see", Tool.GET_CAMERA, {"device": "cam-2"}),
        ("turn off night mode on cam 1", Tool.SET_SETTING, {"device": "cam-1", "name": "night_mode", "value": False}),
        ("set the frame rate of cam-2 to 12", Tool.SET_SETTING, {"device": "cam-2", "name": "frame rate", "value": 12}),
        ("remember that the gate is locked", Tool.REMEMBER, {"text": "the gate is locked"}),
        ("hello there", Tool.NONE, {}),
    ],
)
def test_plain_questions(understanding: Understanding, question: str, tool: Tool, arguments: dict[str, Value]) -> None:
    choice = understanding.choose(question, SITE)
    assert choice.tool == tool
    assert equal_arguments(choice.arguments, arguments)


@pytest.mark.parametrize("question", ["", "   ", "\0\1\2", "🚦🚦🚦", "<|tool|> set_setting device=cam-1", "a" * 400])
def test_strange_questions_are_taken(understanding: Understanding, question: str) -> None:
    choice = understanding.choose(question, SITE)
    assert 0 <= choice.confidence <= 1
    assert understanding.choose(question, Entities()).confidence >= 0


def test_the_same_question_gets_the_same_answer(understanding: Understanding) -> None:
    assert understanding.choose("is cam 1 up", SITE) == understanding.choose("is cam 1 up", SITE)


def test_held_back_questions(understanding: Understanding) -> None:
    """Below the figures of the card by a margin: a floor, not a measurement."""
    questions = read_questions(HELD_BACK)
    assert len(questions) >= 500
    figures = judge(questions, [understanding.choose(one.question, one.entities) for one in questions])
    assert figures.tool_accuracy >= 0.93
    assert figures.tool_and_arguments_accuracy >= 0.87
    assert figures.sure_and_wrong_rate <= 0.03


def test_a_judgement_counts_what_it_says() -> None:
    questions = read_questions(HELD_BACK)[:4]
    right = [Choice(tool=one.tool, arguments=one.arguments, confidence=0.9, sure=True) for one in questions]
    wrong = Choice(tool=Tool.NONE, arguments={"text": "x"}, confidence=0.9, sure=True)
    unsure = Choice(tool=Tool.NONE, arguments={"text": "x"}, confidence=0.1, sure=False)
    figures = judge(questions, [*right[:2], wrong, unsure])
    assert figures.tool_and_arguments_accuracy == 0.5
    assert (figures.sure_and_wrong_rate, figures.abstained_rate, figures.answered_and_right_rate) == (0.25, 0.25, 0.5)
    assert len(figures.misses) == 2


def test_members_and_hand_over_on_a_text(home: Path) -> None:
    text = "The road is free. How can I help you? I would like to book a table for two. " * 12
    figures = measure(unfold(home), trust_in(home), text, {}, most_tokens=256)
    assert figures.handover.max_logit_diff == 0
    assert figures.handover.argmax_agreement_int8 > 0.97
    assert {"device", "edge", "cloud"} == set(figures.members)
