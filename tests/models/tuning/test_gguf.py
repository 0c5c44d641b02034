"""Language models as GGUF: read as llama.cpp reads them, trained, and given back to it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from typer.testing import CliRunner

from models.engine.llama.engine import LlamaEngine, Options
from models.engine.llama.library import library
from models.engine.llama.weights import load
from models.engine.port import Piece
from models.engine.trust import Trust, fingerprint
from models.errors import ModelUntrainable, WeightsQuarantined
from models.family.quantize import quantize
from models.gguf.header import read_header
from models.tuning import gguf_file, llama_network, onnx_file
from models.tuning.bundling import Origin, save
from models.tuning.cli import app
from models.tuning.compiler import Recipe, compile_training
from models.tuning.losses import LABELS
from models.tuning.optimizers import Optimizer
from models.tuning.schemes import choose
from models.tuning.trainer import Trainer
from tests.models.engine import tiny

PLACES = 32
EXACT = Options(kv="f32", flash=False, threads=1)


def spoken(path: Path, tokens: list[int], adapter: Path | None = None, *, then_without: bool = False) -> np.ndarray:
    """llama.cpp's logits at every place."""
    weights = load(path, Trust(path.parent, [fingerprint(path)]))
    engine = LlamaEngine(weights, EXACT)
    try:
        if adapter is not None:
            llama = library().llama
            handle = llama.llama_adapter_lora_init(weights.handle, str(adapter).encode())
            assert handle
            held, scales = (type(handle) * 1)(handle), (np.ctypeslib.ctypes.c_float * 1)(1.0)
            assert llama.llama_set_adapters_lora(engine._context, held, 0 if then_without else 1, scales) == 0
        [output] = engine.decode([Piece(0, tokens, wanted="all")])
        return output.logits.copy()
    finally:
        engine.close()
        weights.close()


def computed(path: Path, tokens: list[int]) -> np.ndarray:
    graph = llama_network.read(path, len(tokens))
    session = onnxruntime.InferenceSession(
        onnx_file.to_model(graph).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {llama_network.INPUT: np.asarray([tokens], np.int64)})[0][0]


def drawn(seed: int = 0) -> list[int]:
    return [int(one) for one in np.random.default_rng(seed).integers(3, 270, PLACES)]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_the_graph_says_what_llama_cpp_says(tmp_path: Path, architecture: str, tied: bool):
    path = tiny.dense(tmp_path / "m.gguf", architecture=architecture, tied=tied, blocks=2)
    tokens = drawn()
    assert np.abs(computed(path, tokens) - spoken(path, tokens)).max() < 1e-4


@pytest.mark.parametrize(("kind", "steps"), [("q8_0", 127), ("q4_0", 7), ("q6_k", 31), ("f16", 1024)])
def test_packed_weights_are_unpacked(tmp_path: Path, kind: str, steps: int):
    whole = tiny.dense(tmp_path / "m.gguf", blocks=1)
    packed = tmp_path / "packed.gguf"
    quantize(whole, packed, kind, threads=1)
    name = "blk.0.attn_q.weight"
    first, found = (gguf_file.tensors(path, [name])[name] for path in (whole, packed))
    assert 0 < np.abs(first - found).max() <= np.abs(first).max() / steps
    # llama.cpp rounds what meets a packed matrix to eight bits: compared on plain ones with the same numbers.
    names = [one for one in read_header(packed).tensors if one.endswith(".weight")]
    plain = tmp_path / "plain.gguf"
    gguf_file.replace_tensors(packed, gguf_file.tensors(packed, names), plain)
    assert np.abs(computed(packed, drawn(1)) - spoken(plain, drawn(1))).max() < 1e-4


@pytest.mark.parametrize(
    ("make", "says"), [(tiny.experts, "mixture of experts"), (tiny.window, "gemma3"), (tiny.recurrent, "mamba")]
)
def test_what_is_no_plain_llama_is_refused_by_name(tmp_path: Path, make, says: str):
    with pytest.raises(ModelUntrainable, match=says):
        llama_network.read(make(tmp_path / "m.gguf"), PLACES)


def test_a_stretch_longer_than_the_context_is_refused(tmp_path: Path):
    with pytest.raises(ModelUntrainable, match="513 tokens do not fit its 512"):
        llama_network.read(tiny.dense(tmp_path / "m.gguf", blocks=1), 513)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KINFLOW_HOME", str(tmp_path / "home"))
    return tmp_path


def trained(place: Path, model: Path, scheme: str, *more: str) -> Path:
    phrases = ["the road is free", "the road is red", "free the road", "is the road free"] * 4
    (place / "phrases.jsonl").write_text("".join(json.dumps({"text": one}) + "\n" for one in phrases))
    arguments = [
        "run", str(model), "--data", str(place / "phrases.jsonl"), "--out", str(place / scheme), "--loss", "language",
        "--scheme", scheme, "--batch", "2", "--epochs", "3", "--size", "places=16", "--rate", "0.01", "--json", *more,
    ]  # fmt: skip
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    judged = json.loads(done.stdout)["judged"]
    assert judged[-1]["loss"] < judged[0]["loss"]
    return place / scheme


def test_texts_wait_until_the_model_is_accepted(home: Path):
    model = tiny.dense(home / "m.gguf", blocks=1)
    with pytest.raises(WeightsQuarantined):
        trained(home, model, "lora")


def test_an_adapter_is_added_by_llama_cpp_and_left_away_again_exactly(home: Path):
    model = tiny.dense(home / "m.gguf", blocks=2)
    Trust(home / "home" / "models").accept(model, fingerprint(model))
    out = trained(home, model, "lora")
    tokens = drawn(2)
    before, adapted = spoken(model, tokens), spoken(model, tokens, out / "adapter.gguf")
    merged = spoken(out / "trained.gguf", tokens)
    assert np.abs(adapted - before).max() > 0.05
    assert np.abs(adapted - merged).max() < 1e-3
    assert (spoken(model, tokens, out / "adapter.gguf", then_without=True) == before).all()


def test_a_packed_model_is_trained_and_given_back(home: Path):
    packed = home / "m8.gguf"
    quantize(tiny.dense(home / "m.gguf", blocks=2), packed, "q8_0", threads=1)
    Trust(home / "home" / "models").accept(packed, fingerprint(packed))
    out = trained(home, packed, "deep")
    again = home / "again.gguf"
    CliRunner().invoke(app, ["apply", str(packed), str(out / "delta.safetensors"), str(again)], catch_exceptions=False)
    assert again.read_bytes() == (out / "trained.gguf").read_bytes()
    tokens = drawn(3)
    assert np.abs(spoken(again, tokens) - spoken(packed, tokens)).max() > 0.05
    changed = gguf_file.tensors(again, ["blk.0.attn_q.weight"])
    assert (
        changed["blk.0.attn_q.weight"] == gguf_file.tensors(packed, ["blk.0.attn_q.weight"])["blk.0.attn_q.weight"]
    ).all()


def test_what_is_frozen_stays_packed_and_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, size in (("WIDTH", 128), ("HEADS", 4), ("KV_HEADS", 2), ("INNER", 192)):
        monkeypatch.setattr(tiny, name, size)
    path = tmp_path / "m8.gguf"
    quantize(tiny.dense(tmp_path / "m.gguf", blocks=3), path, "q8_0", threads=1)
    graph = llama_network.read(path, 16)
    names = choose(graph, "deep", "language").tensors
    trainers, sizes = [], []
    for packed in (False, True):
        program = compile_training(graph, names, Recipe(2, "language", Optimizer("sgd", 0.1), packed=packed))
        save(program, tmp_path / str(packed), Origin(path, "deep"))
        trainers.append(Trainer(tmp_path / str(packed)))
        sizes.append((tmp_path / str(packed) / "weights.data").stat().st_size)
    assert sizes[1] < 0.5 * sizes[0]
    tokens = np.random.default_rng(4).integers(0, 270, (2, 17))
    feeds = {llama_network.INPUT: tokens[:, :-1], LABELS: tokens[:, 1:]}
    for _ in range(3):
        plain, kept = (one.step(feeds) for one in trainers)
        assert kept == pytest.approx(plain, rel=1e-4)
    for name, value in trainers[0].state().items():
        assert np.abs(trainers[1].state()[name] - value).max() < 1e-4
