"""A Llama trunk with exits: each exit has one block, a norm and the shared head of its own (AI Flow's familial models,
arXiv 2506.12479). Shapes and names follow llama.cpp's `llama` architecture, so that export copies tensors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.family.handover import LARGEST, turned

EPSILON = 1e-5


@dataclass(frozen=True)
class Shape:
    """exits: trunk blocks below each exit, rising; the last is the trunk's length. names: of the members."""

    vocabulary: int
    width: int = 192
    heads: int = 4
    kv_heads: int = 2
    inner: int = 576
    exits: tuple[int, ...] = (2, 4, 6)
    names: tuple[str, ...] = ("device", "edge", "cloud")
    context_tokens: int = 256
    rope_base: float = 10_000.0

    @property
    def head(self) -> int:
        return self.width // self.heads


class Norm(nn.Module):
    """Zhang and Sennrich, "Root mean square layer normalization" (2019)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), EPSILON)


class Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width, kv = shape.width, shape.kv_heads * shape.head
        self.attn_norm, self.ffn_norm = Norm(width), Norm(width)
        self.attn_q = nn.Linear(width, width, bias=False)
        self.attn_k = nn.Linear(width, kv, bias=False)
        self.attn_v = nn.Linear(width, kv, bias=False)
        self.attn_output = nn.Linear(width, width, bias=False)
        self.ffn_gate = nn.Linear(width, shape.inner, bias=False)
        self.ffn_up = nn.Linear(width, shape.inner, bias=False)
        self.ffn_down = nn.Linear(shape.inner, width, bias=False)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """x: batch x tokens x width."""
        shape, (count, tokens, _) = self.shape, x.shape
        seen = self.attn_norm(x)
        q = _turned(self.attn_q(seen).view(count, tokens, shape.heads, shape.head), turn)
        k = _turned(self.attn_k(seen).view(count, tokens, shape.kv_heads, shape.head), turn)
        v = self.attn_v(seen).view(count, tokens, shape.kv_heads, shape.head)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        repeat = shape.heads // shape.kv_heads
        k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
        mixed = _attended(q, k, v)
        x = x + self.attn_output(mixed.transpose(1, 2).reshape(count, tokens, shape.width))
        seen = self.ffn_norm(x)
        return x + self.ffn_down(functional.silu(self.ffn_gate(seen)) * self.ffn_up(seen))


def _attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention, written out: on a CPU in bfloat16 that is faster than torch's own. batch x heads x tokens x
    numbers."""
    tokens = q.shape[2]
    future = torch.full((tokens, tokens), float("-inf"), dtype=q.dtype).triu(1)
    scores = torch.matmul(q, k.transpose(-1, -2)) * q.shape[-1] ** -0.5 + future
    return torch.matmul(scores.softmax(-1), v)


def _turned(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary embedding (Su et al. 2021) of the first half of a head's numbers with the second; export (export.py) lays
    them out as the neighbouring pairs that llama.cpp turns. x: batch x tokens x heads x numbers; turn: cosine and sine,
    tokens x numbers / 2."""
    cosine, sine = (one[None, : x.shape[1], None].to(x.dtype) for one in turn)
    first, second = x.chunk(2, -1)
    return torch.cat((first * cosine - second * sine, first * sine + second * cosine), -1)


def rounded(x: Tensor) -> Tensor:
    """As a hand-over rounds hidden states (models/family/handover.py). The gradient passes."""
    wide = x.detach().float()
    turn = _turn(x.shape[-1])
    rows = wide @ turn
    scale = rows.abs().amax(-1, keepdim=True).clamp_min(1e-6) / LARGEST
    return x + ((torch.round(rows / scale) * scale) @ turn.T - wide).to(x.dtype)


@lru_cache(maxsize=2)
def _turn(width: int) -> Tensor:
    return torch.from_numpy(turned(np.eye(width, dtype=np.float32)))


class Exit(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.block = Block(shape)
        self.output_norm = Norm(shape.width)


class Family(nn.Module):
    """While it trains, what goes on behind an exit is rounded as a hand-over does."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocabulary, shape.width)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.exits[-1]))
        self.exit = nn.ModuleList(Exit(shape) for _ in shape.exits)
        angles = torch.arange(4 * shape.context_tokens)[:, None] * shape.rope_base ** (
            -torch.arange(0, shape.head, 2) / shape.head
        )
        self.register_buffer("cosine", angles.cos(), persistent=False)
        self.register_buffer("sine", angles.sin(), persistent=False)
        self.apply(self._begun)
        blocks = shape.exits[-1] + 1
        for one in self.modules():
            if isinstance(one, Block):
                for last in (one.attn_output, one.ffn_down):
                    nn.init.normal_(last.weight, 0, 0.02 / (2 * blocks) ** 0.5)

    @staticmethod
    def _begun(one: nn.Module) -> None:
        if isinstance(one, nn.Linear | nn.Embedding):
            nn.init.normal_(one.weight, 0, 0.02)

    def own(self, member: int) -> list[nn.Module]:
        """What no smaller member goes through: the blocks between the exit below and its own, and its exit."""
        below = self.shape.exits[member - 1] if member else 0
        return [*self.blk[below : self.shape.exits[member]], self.exit[member]]

    def residuals(self, tokens: Tensor, members: tuple[int, ...]) -> list[Tensor]:
        """The residual behind each member's own block, batch x tokens x width; no deeper than the deepest asked for."""
        turn = (self.cosine, self.sine)
        x = self.token_embd(tokens)
        found: dict[int, Tensor] = {}
        for number in range(1 + max(self.shape.exits[one] for one in members)):
            for one in members:
                if self.shape.exits[one] == number:
                    found[one] = self.exit[one].block(x, turn)
                    if self.training:
                        x = rounded(x)
            if number < max(self.shape.exits[one] for one in members):
                x = self.blk[number](x, turn)
        return [found[one] for one in members]

    def logits(self, residual: Tensor, member: int) -> Tensor:
        return functional.linear(self.exit[member].output_norm(residual), self.token_embd.weight)
