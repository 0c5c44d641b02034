"""`python -m models.training.kin.words OUT.npz`: a table of hashed words and parts of words that reads tool, status and
switch beside the heads on the residual (models/assistant/understanding/ngrams.py has the features).

Joulin et al., "Bag of tricks for efficient text classification" (2017), with one hidden layer. Minutes on one core.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.assistant.tools import STATUSES, Tool
from models.assistant.understanding.ngrams import ROWS, features, marked_text
from models.training.kin.drawing import Drawing
from models.training.kin.heads import SWITCHES
from models.training.kin.lessons import TOOLS, Phrase, laid_out

DEPTH, HIDDEN, BATCH, GAP = 32, 64, 128, 0.15
Rows = NDArray[np.int64]


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(ROWS, DEPTH, mode="sum", sparse=True)
        nn.init.normal_(self.table.weight, 0, 0.05)
        self.hidden = nn.Linear(DEPTH, HIDDEN)
        self.tool = nn.Linear(HIDDEN, len(TOOLS))
        self.status = nn.Linear(HIDDEN, 1 + len(STATUSES))
        self.switch = nn.Linear(HIDDEN, SWITCHES)
        self.drop = nn.Dropout(0.2)

    def forward(self, bags: list[Rows]) -> tuple[Tensor, Tensor, Tensor]:
        sizes = [len(one) for one in bags]
        starts = torch.tensor(np.cumsum([0, *sizes[:-1]]))
        summed = self.table(torch.from_numpy(np.concatenate(bags)), starts)
        mean = self.drop(summed / torch.tensor(sizes, dtype=torch.float32).sqrt()[:, None])
        hidden = self.drop(functional.relu(self.hidden(mean)))
        return self.tool(hidden), self.status(hidden), self.switch(hidden)


def bag(phrase: Phrase) -> Rows:
    text, parts, _ = laid_out(phrase)
    return np.array(features(marked_text(text, parts)), np.int64)


def fit(drawing: Drawing, count: int, rounds: int, seed: int) -> Words:
    torch.manual_seed(seed)
    numbers, chance = np.random.default_rng(seed), random.Random(seed)  # noqa: S311 (examples, no secrets)
    phrases = [drawing.phrase(chance) for _ in range(count)]
    bags = [bag(one) for one in phrases]
    wanted = torch.tensor([wanted_of(one) for one in phrases])
    words = Words()
    rest = [one for name, one in words.named_parameters() if not name.startswith("table")]
    optimizers = [torch.optim.SparseAdam([words.table.weight], lr=3e-3), torch.optim.AdamW(rest, lr=3e-3)]
    starts = list(range(0, count, BATCH))
    for number in range(rounds):
        order = numbers.permutation(count)
        for place, start in enumerate(starts):
            left = 1 - (number * len(starts) + place) / (rounds * len(starts))
            these = order[start : start + BATCH]
            loss = loss_of(words([gapped(bags[one], numbers) for one in these]), wanted[these])
            loss.backward()
            for one in optimizers:
                for group in one.param_groups:
                    group["lr"] = 3e-3 * left
                one.step()
                one.zero_grad()
    return words.eval()


def wanted_of(phrase: Phrase) -> tuple[int, int, int]:
    value, status = phrase.arguments.get("value"), phrase.arguments.get("status")
    return (
        TOOLS.index(phrase.tool),
        STATUSES.index(status) + 1 if status in STATUSES else 0,
        int(value) if isinstance(value, bool) else 2,
    )


def gapped(rows: Rows, numbers: np.random.Generator) -> Rows:
    kept = rows[numbers.random(len(rows)) > GAP]
    return kept if len(kept) else rows


def loss_of(told: tuple[Tensor, Tensor, Tensor], wanted: Tensor) -> Tensor:
    """Status and switch are asked only of questions that they are about."""
    total = functional.cross_entropy(told[0], wanted[:, 0], label_smoothing=0.03)
    for place, about in ((1, Tool.LIST_DEVICES), (2, Tool.SET_SETTING)):
        these = wanted[:, 0] == TOOLS.index(about)
        if these.any():
            total = total + 0.5 * functional.cross_entropy(told[place][these], wanted[these, place])
    return total


def main(  # noqa: PLR0917 (its options)
    out: Annotated[Path, typer.Argument(help="Where the tables go; heads.npz takes them in.")],
    data: Annotated[Path, typer.Option(help="The folder that shared/data/README.md describes.")],
    tables: Annotated[
        int, typer.Option(help="How many are fitted, each to other examples; their logits are added.")
    ] = 3,
    count: int = 90_000,
    rounds: int = 2,
    without: Annotated[str, typer.Option(help="A file of phrases that is left out, to be judged on.")] = "",
) -> None:
    torch.set_num_threads(1)
    drawing = Drawing.shipped(data, without)
    held: dict[str, Any] = {}
    for number in range(tables):
        words = fit(drawing, count, rounds, number + 1)
        for name, one in words.state_dict().items():
            held[f"words{number}.{name}"] = one.numpy().astype(np.float16)
    np.savez(out, **held)


if __name__ == "__main__":
    typer.run(main)
