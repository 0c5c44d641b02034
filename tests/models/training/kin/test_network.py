"""The trained network and llama.cpp compute the same, where torch is installed (the extra `training`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models.assistant.understanding.heads import Heads as Read  # noqa: E402
from models.engine.llama.engine import LlamaEngine, Options  # noqa: E402
from models.engine.llama.weights import load  # noqa: E402
from models.engine.port import Facts, Memory, Piece  # noqa: E402
from models.engine.trust import Trust, fingerprint  # noqa: E402
from models.family.handover import pack, unpack  # noqa: E402
from models.family.splitting import split  # noqa: E402
from models.training.kin.export import write_family, write_heads  # noqa: E402
from models.training.kin.heads import Heads  # noqa: E402
from models.training.kin.network import Family, Shape, rounded  # noqa: E402
from models.training.kin.tokenizer import learn  # noqa: E402


def test_llama_cpp_computes_what_was_trained(tmp_path: Path) -> None:
    torch.manual_seed(3)
    tokenizer = learn(["the road is free and the lights are green"] * 4, 288)
    shape = Shape(len(tokenizer.tokens) // 32 * 32, width=64, heads=2, kv_heads=1, inner=96, exits=(1, 2, 3))
    tokenizer = type(tokenizer)(tokenizer.merges[: shape.vocabulary - 268])
    family = Family(shape).eval()
    write_family(tmp_path / "kin.gguf", family, tokenizer, "1")
    trust = Trust(tmp_path / "home", (fingerprint(tmp_path / "kin.gguf"),))
    manifest = split(tmp_path / "kin.gguf", tmp_path / "parts", trust)
    tokens = tokenizer.encode(" the road is free")
    for number, member in enumerate(manifest.members):
        with torch.no_grad():
            [residual] = family.residuals(torch.tensor([tokens]), (number,))
            wanted = family.logits(residual, number)[0].numpy()
        weights = load(tmp_path / "parts" / str(member.file), trust)
        engine = LlamaEngine(
            weights, Options(context_tokens=64, threads=1, tap=weights.blocks - 1, kv="f32", flash=False)
        )
        [output] = engine.decode([Piece(0, tokens, wanted="all")])
        assert engine.tokenize(" the road is free") == tokens
        # Q8_0 keeps two digits.
        assert np.abs(output.logits - wanted).max() < 0.03 * np.abs(wanted).max() + 0.01
        engine.close()


def test_numpy_reads_what_the_heads_learnt(tmp_path: Path) -> None:
    torch.manual_seed(4)
    heads = Heads(64).eval()
    write_heads(tmp_path / "heads.npz", heads)
    residual = torch.randn(1, 7, 64)
    tool, status, switch, span = heads(residual, torch.ones(1, 7, dtype=torch.bool))
    read = Read(tmp_path / "heads.npz").read(residual[0].numpy())
    for wanted, got in ((tool, read.tools), (status, read.statuses), (switch, read.switch)):
        assert np.allclose(wanted.softmax(1)[0].detach().numpy(), got, atol=2e-3)
    assert np.allclose(span.log_softmax(2)[0, 0].detach().numpy(), read.begins, atol=1e-2)


def test_training_rounds_as_a_hand_over_does() -> None:
    torch.manual_seed(5)
    rows = torch.randn(6, 192) * torch.linspace(0.1, 30, 192)
    facts = Facts("b" * 64, "llama", Memory.FULL, 300, 192, 2, 64, 1, source="a" * 64, first_block=2, whole_blocks=4)
    handed = unpack(pack(rows.numpy(), source="a" * 64, block=2, start=0), facts, 0)
    told = rounded(rows).numpy()
    assert np.abs(told - rows.numpy()).max() > 0.01
    # A number that lies between two steps may fall on either side.
    assert (np.abs(told - handed) < 1e-3).mean() > 0.95
    assert np.abs(told - handed).max() < 0.3


def test_a_gradient_passes_the_rounding() -> None:
    rows = torch.randn(2, 64, requires_grad=True)
    rounded(rows).sum().backward()
    assert torch.equal(rows.grad, torch.ones(2, 64))
