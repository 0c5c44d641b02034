"""The run: all exits learn together (AI Flow, arXiv 2506.12479, joint loss), from text and questions in turns.

It is useful whenever it ends: the rate stays level and falls over the last part of the minutes given (warm-up, stable,
decay: Hu et al., MiniCPM, arXiv 2404.06395). Matrices learn by Muon (Jordan 2024), the rest by AdamW.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.assistant.tools import Tool
from models.training.kin.heads import Heads
from models.training.kin.lessons import NO_SPAN, TOOLS, Lesson
from models.training.kin.network import Family
from models.training.kin.reading import Tokens, batch

WARM_STEPS = 60
SAVE_S = 240.0


@dataclass(frozen=True)
class Plan:
    """minutes: of this run, its end included. decay: share of them in which the rate falls. members: which exits learn;
    one alone makes an independent model. finish: only what is the last member's own learns, so that no other
    changes. questions: share of the batches that are questions; calls: of these, the share whose call a larger exit
    learns to say as well. tokens: end sooner, after so many, the rate then following them instead of the clock."""

    minutes: float
    decay: float = 0.3
    rate: float = 4e-3
    rows: int = 8
    tokens_a_row: int = 256
    question_rows: int = 40
    questions: float = 0.5
    calls: float = 0.3
    members: tuple[int, ...] = (0, 1, 2)
    finish: bool = False
    tokens: int = 0
    seed: int = 1


@dataclass
class State:
    family: Family
    heads: Heads
    seen: int = 0
    steps: int = 0
    optimizers: Any = None


def optimizers_of(state: State, plan: Plan) -> list[torch.optim.Optimizer]:
    if plan.finish:
        state.family.requires_grad_(False)
        for one in state.family.own(plan.members[-1]):
            one.requires_grad_(True)
    learning = [(name, one) for name, one in state.family.named_parameters() if one.requires_grad]
    inner = [one for name, one in learning if one.ndim == 2 and "embd" not in name]
    rest = [one for name, one in learning if one.ndim != 2 or "embd" in name]
    return [
        torch.optim.Muon(inner, lr=plan.rate, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW([*rest, *state.heads.parameters()], lr=plan.rate, betas=(0.9, 0.97), weight_decay=0.01),
    ]


def train(  # noqa: PLR0917 (what it brings together)
    plan: Plan,
    state: State,
    sources: dict[str, tuple[Tokens, Tokens]],
    draw: Callable[[random.Random], Lesson],
    pad: int,
    path: Path,
) -> State:
    """Goes on from `state`; saves to `path` now and then, and at the end."""
    chance = random.Random(plan.seed + state.steps)  # noqa: S311 (examples, no secrets)
    numbers = np.random.default_rng(plan.seed + state.steps)
    optimizers = optimizers_of(state, plan)
    begun = saved = time.monotonic()
    first, first_tokens, shown = state.steps, state.seen, {"text": 0.0, "call": 0.0, "heads": 0.0}
    state.family.train()
    state.heads.train()
    while True:
        done = (time.monotonic() - begun) / (60 * plan.minutes)
        if plan.tokens:
            done = max(done, (state.seen - first_tokens) / plan.tokens)
        if done >= 1:
            break
        warm = min(1.0, (state.steps - first + 1) / WARM_STEPS)
        scale = warm * min(1.0, (1 - done) / plan.decay) if plan.decay else warm
        for one in optimizers:
            for group in one.param_groups:
                group["lr"] = plan.rate * scale
        with torch.autocast("cpu", torch.bfloat16):
            # One exit a batch, each as often: the joint loss in the mean, for a third of the work.
            member = chance.choice(plan.members)
            if chance.random() < plan.questions:
                lessons = [draw(chance) for _ in range(plan.question_rows)]
                if chance.random() > plan.calls:
                    member = 0
                loss, call, told = question_loss(state, lessons, tuple(sorted({0, member})), pad)
                shown["call"], shown["heads"] = _mean(shown["call"], call), _mean(shown["heads"], told)
            else:
                rows = torch.from_numpy(batch(sources, plan.rows, plan.tokens_a_row, numbers))
                loss = text_loss(state.family, rows, (member,))
                shown["text"] = _mean(shown["text"], float(loss.detach()))
                state.seen += plan.rows * plan.tokens_a_row
        loss.backward()
        torch.nn.utils.clip_grad_norm_(state.family.parameters(), 1.0)
        for one in optimizers:
            one.step()
            one.zero_grad()
        state.steps += 1
        if state.steps % 20 == 0:
            told_now = " ".join(f"{name} {value:.3f}" for name, value in shown.items())
            print(f"{time.monotonic() - begun:6.0f} s step {state.steps} tokens {state.seen} {told_now}", flush=True)
        if time.monotonic() - saved > SAVE_S:
            save(state, path)
            saved = time.monotonic()
    save(state, path)
    return state


def _mean(old: float, new: float) -> float:
    return new if not old else 0.95 * old + 0.05 * new


def text_loss(family: Family, rows: Tensor, members: tuple[int, ...]) -> Tensor:
    """Mean over the exits of the cross entropy of the next token. rows: batch x (tokens + 1)."""
    residuals = family.residuals(rows[:, :-1], members)
    losses = [
        functional.cross_entropy(family.logits(one, member).flatten(0, 1).float(), rows[:, 1:].flatten())
        for one, member in zip(residuals, members, strict=True)
    ]
    return torch.stack(losses).mean()


def question_loss(
    state: State, lessons: list[Lesson], members: tuple[int, ...], pad: int
) -> tuple[Tensor, float, float]:
    """The call by each of the members, and what the heads read off the first."""
    rows, mask, answers = stacked(lessons, pad)
    residuals = state.family.residuals(rows[:, :-1], members)
    state.seen += int(answers.sum() + mask.sum())
    losses = []
    for one, member in zip(residuals, members, strict=True):
        wanted = answers[:, 1:]
        logits = state.family.logits(one[wanted], member)
        losses.append(functional.cross_entropy(logits.float(), rows[:, 1:][wanted]))
    call = torch.stack(losses).mean()
    told = head_loss(state.heads, residuals[0].float(), mask[:, :-1], lessons)
    return call + told, float(call.detach()), float(told.detach())


def stacked(lessons: list[Lesson], pad: int) -> tuple[Tensor, Tensor, Tensor]:
    """rows, the mask of the questions, and of what is to be said after them; batch x longest."""
    longest = max(len(one.tokens) for one in lessons)
    rows = torch.full((len(lessons), longest), pad)
    mask = torch.zeros((len(lessons), longest), dtype=torch.bool)
    answers = torch.zeros((len(lessons), longest), dtype=torch.bool)
    for place, one in enumerate(lessons):
        rows[place, : len(one.tokens)] = torch.tensor(one.tokens)
        mask[place, : one.question] = True
        answers[place, one.question : len(one.tokens)] = True
    return rows, mask, answers


def head_loss(heads: Heads, residual: Tensor, mask: Tensor, lessons: list[Lesson]) -> Tensor:
    tool, status, switch, span = heads(residual, mask)
    wanted = {name: torch.tensor([getattr(one, name) for one in lessons]) for name in ("tool", "status", "switch")}
    total = functional.cross_entropy(tool, wanted["tool"], label_smoothing=0.02)
    # Each of the others is asked only of questions that it is about.
    for told, name, about in ((status, "status", Tool.LIST_DEVICES), (switch, "switch", Tool.SET_SETTING)):
        these = wanted["tool"] == TOOLS.index(about)
        if these.any():
            total = total + 0.4 * functional.cross_entropy(told[these], wanted[name][these])
    ends = torch.tensor([[one.begin, one.end] for one in lessons])
    if (ends != NO_SPAN).any():
        total = total + 0.5 * functional.cross_entropy(span.flatten(0, 1), ends.flatten(), ignore_index=NO_SPAN)
    return total


def save(state: State, path: Path) -> None:
    part = path.with_suffix(".part")
    torch.save(
        {
            "shape": state.family.shape,
            "family": state.family.state_dict(),
            "heads": state.heads.state_dict(),
            "seen": state.seen,
            "steps": state.steps,
        },
        part,
    )
    part.replace(path)


def load(path: Path) -> State:
    held = torch.load(path, weights_only=False)
    family = Family(held["shape"])
    family.load_state_dict(held["family"])
    heads = Heads(held["shape"].width)
    heads.load_state_dict(held["heads"])
    return State(family, heads, held["seen"], held["steps"])
