"""`python -m models.training.kin.spans OUT.npz`: fit the table that finds where free text begins and ends."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import nn
from torch.nn import functional

from models.assistant.tools import Tool
from models.assistant.understanding.spans import ROWS, begin_rows, end_rows, spoken
from models.training.kin.drawing import Drawing
from models.training.kin.lessons import FREE_TEXT, Phrase, laid_out

BATCH, RATE, GAP = 64, 0.02, 0.1
# A value that is a word is free text too.
TOOLS = (*FREE_TEXT, Tool.SET_SETTING)
# Rows of each word for "begins" and "ends", and the words with which it does.
Example = tuple[list[list[int]], list[list[int]], int, int]


def example(phrase: Phrase) -> Example | None:
    text, parts, span = laid_out(phrase)
    if span is None:
        return None
    said = spoken(text, parts)
    inside = [place for place, one in enumerate(said) if one.start < span[1] and span[0] < one.end and one.is_word]
    if not inside:
        return None
    begins = [begin_rows(said, place, phrase.tool) if one.is_word else [] for place, one in enumerate(said)]
    ends = [end_rows(said, place, phrase.tool) if one.is_word else [] for place, one in enumerate(said)]
    return begins, ends, inside[0], inside[-1]


def fit(examples: list[Example], rounds: int, seed: int) -> nn.EmbeddingBag:
    torch.manual_seed(seed)
    numbers = np.random.default_rng(seed)
    table = nn.EmbeddingBag(ROWS, 1, mode="sum", sparse=True)
    nn.init.zeros_(table.weight)
    optimizer = torch.optim.SparseAdam([table.weight], lr=RATE)
    steps = rounds * (len(examples) // BATCH)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / steps)
        loss = torch.zeros(())
        for side in (0, 1):
            these = [examples[one] for one in numbers.integers(0, len(examples), BATCH)]
            bags = [[row for row in word if numbers.random() > GAP] for one in these for word in one[side]]
            starts = np.cumsum([0, *map(len, bags[:-1])])
            flat = torch.tensor([row for one in bags for row in one])
            score = table(flat, torch.tensor(starts))[:, 0]
            silent = torch.tensor([not word for one in these for word in one[side]])
            score = score.masked_fill(silent, -1e4)
            place = 0
            for one in these:
                part = score[place : place + len(one[side])]
                loss = loss + functional.cross_entropy(part[None], torch.tensor([one[2 + side]]))
                place += len(one[side])
        (loss / (2 * BATCH)).backward()
        optimizer.step()
        optimizer.zero_grad()
    return table


def main(
    out: Annotated[Path, typer.Argument(help="Where the table goes; heads.npz takes it in.")],
    data: Annotated[Path, typer.Option(help="The folder that shared/data/README.md describes.")],
    count: int = 16_000,
    rounds: int = 4,
    seed: int = 1,
) -> None:
    torch.set_num_threads(1)
    drawing = Drawing.shipped(data)
    chance = random.Random(seed)  # noqa: S311 (examples, no secrets)
    examples: list[Example] = []
    while len(examples) < count:
        phrase = drawing.phrase(chance)
        made = example(phrase) if phrase.tool in TOOLS else None
        if made is not None:
            examples.append(made)
    table = fit(examples, rounds, seed)
    np.savez(out, **{"span.table": table.weight.detach().numpy()[:, 0].astype(np.float16)})


if __name__ == "__main__":
    typer.run(main)
