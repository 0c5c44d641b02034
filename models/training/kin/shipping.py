"""What is shipped: the family file, the heads, and the facts that can't be told from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from models.engine.trust import fingerprint
from models.family.manifest import encode_toml
from models.family.shipped import FACTS, WEIGHTS
from models.training.kin.export import write_family, write_heads
from models.training.kin.network import Family
from models.training.kin.reading import SHARES, Tokens
from models.training.kin.tokenizer import Tokenizer
from models.training.kin.train import State, load, text_loss

HEADS = "heads.npz"
MEASURED_ON = "held-back documents of the training's sources: dialogues, books, small talk, country facts (card)"
CREDITS = (
    "Schema-Guided Dialogue, Rastogi et al. 2020, CC BY-SA 4.0",
    "chatterbot-corpus, BSD-3-Clause",
    "CIA World Factbook, CC0",
    "152 books in the public domain",
    "operators' questions by Kinflow's own authors and its grammar",
)
LIMITS = (
    "English only; a small model whose free text is often wrong: no figure and no fact is to be taken from it",
    "its use is to find the assistant's tool and arguments; what it is not sure of, it leaves",
    "contexts up to 256 tokens were trained; beyond that nothing was measured",
)
# Held-back tokens of each source that a loss is measured on.
MEASURED_TOKENS = 16 * 1024


@torch.no_grad()
def losses(
    family: Family, sources: dict[str, tuple[Tokens, Tokens]], members: tuple[int, ...]
) -> dict[int, dict[str, float]]:
    """By member and source."""
    family.eval()
    found: dict[int, dict[str, float]] = {one: {} for one in members}
    length = family.shape.context_tokens
    for source in SHARES:
        held = torch.from_numpy(sources[source][1][:MEASURED_TOKENS].astype("int64"))
        rows = held[: (len(held) - 1) // length * length].view(-1, length)
        after = held[1 : rows.numel() + 1].view(-1, length)[:, -1:]
        whole = torch.cat((rows, after), 1)
        for member in members:
            parts = [float(text_loss(family, part, (member,))) * len(part) for part in whole.split(8)]
            found[member][source] = sum(parts) / len(whole)
    return found


def weighed(by_source: dict[str, float]) -> float:
    """The mean over the sources, weighed as they are read."""
    return sum(share * by_source[source] for source, share in SHARES.items())


def ship(  # noqa: PLR0917 (what it brings together)
    state: State,
    tokenizer: Tokenizer,
    sources: dict[str, tuple[Tokens, Tokens]],
    alone: dict[int, Path],
    into: Path,
    version: str,
    tables: Sequence[Path],
) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
    """alone: checkpoints of independent models, by the member that they are as large as. Gives the facts that are
    shipped, and each member's losses by source."""
    into.mkdir(parents=True, exist_ok=True)
    write_family(into / WEIGHTS, state.family, tokenizer, version)
    write_heads(into / HEADS, state.heads, tables)
    names = state.family.shape.names
    nested = losses(state.family, sources, tuple(range(len(names))))
    independent = {place: weighed(losses(load(path).family, sources, (place,))[place]) for place, path in alone.items()}
    facts: dict[str, Any] = {
        "version": version,
        "sha256": fingerprint(into / WEIGHTS),
        "measured_on": MEASURED_ON,
        "credits": CREDITS,
        "limits": LIMITS,
        "members": {
            name: {"loss": round(weighed(nested[place]), 4)}
            | ({"independent_loss": round(independent[place], 4)} if place in independent else {})
            for place, name in enumerate(names)
        },
    }
    (into / FACTS).write_bytes(encode_toml(facts))
    return facts, {name: nested[place] for place, name in enumerate(names)}
