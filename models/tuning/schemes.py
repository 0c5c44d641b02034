"""What to train: schemes by name, and schemes from files.

`deep` follows PockEngine (section 3.1) and MCUNetV3 in convolutional networks: many biases, which cost next to no
memory, and of the weights only those whose training keeps little, in blocks with depthwise convolutions the 1 x 1 that
widens. Of a transformer it trains the last blocks whole: attention and the first matrix of the feed-forward part of
more blocks, as PockEngine has it, learn less for the same time and memory (docs/decisions/0022).
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

from models.errors import SchemeEmpty, SchemeUnknown, SchemeUnreadable
from models.tuning.adapters import Adapter
from models.tuning.graph import Graph, is_float
from models.tuning.layers import Layer, layers

NAMES = ("head", "bias-only", "last-k", "deep", "full", "lora")
LAST_K = 4
RANK, ALPHA = 8, 16.0
# Shares of the layers, counted from the end; what less and more of them learn is in docs/decisions/0020 and 0022.
_BIASES_DEEP, _WEIGHTS_DEEP = 0.6, 0.55
_TRANSFORMER = 0.3
# A feed-forward matrix has so many times as many columns as rows.
_WIDE = 4


@dataclass(frozen=True)
class Scheme:
    """tensors: trained as they are. adapters: low-rank additions to frozen matrices, trained in their place. pieces: a
    batch is computed in so many equal ones, one after the other, and updated once: less memory, a little more time.
    channels: share of a weight's input channels that are trained at a time, others each epoch."""

    name: str
    tensors: tuple[str, ...]
    adapters: tuple[Adapter, ...] = ()
    pieces: int = 1
    channels: float = 1.0


def choose(graph: Graph, name: str, loss: str = "classification", k: int = LAST_K, rank: int = RANK) -> Scheme:
    """name: one of NAMES, or the path of a scheme file. Raises SchemeUnknown (KF369), SchemeUnreadable (KF370),
    SchemeEmpty (KF366)."""
    if name not in NAMES:
        if name.endswith(".toml"):
            return from_file(graph, Path(name))
        near = get_close_matches(name, NAMES, n=1)
        raise SchemeUnknown(name=name, known=", ".join(NAMES) + (f". Did you mean {near[0]}?" if near else ""))
    found = layers(graph)
    if not found:
        raise SchemeEmpty(detail="the network has no weights that a scheme could choose")
    if name == "lora":
        adapters = _adapters(graph, found, rank)
        if not adapters:
            raise SchemeEmpty(detail="there is no matrix beside the head that an adapter could be added to")
        return Scheme(name, (), adapters)
    tensors = {
        "head": lambda: head_of(found),
        "bias-only": lambda: _vectors(found) + head_of(found, loss),
        "last-k": lambda: [each for one in found[-k:] for each in (one.weight, *one.vectors)],
        "deep": lambda: _deep(found, loss),
        "full": lambda: [each for one in found for each in (one.weight, *one.vectors)],
    }[name]()
    chosen = tuple(dict.fromkeys(tensors))
    if not chosen:
        raise SchemeEmpty(detail=f"the network has nothing that {name!r} would train")
    return Scheme(name, chosen)


def _vectors(found: Sequence[Layer]) -> list[str]:
    return [each for one in found for each in one.vectors]


def head_of(found: Sequence[Layer], loss: str = "") -> list[str]:
    """The last layers with their biases. A language model's is as large as its vocabulary, and is left as it is where
    it is only one part of a scheme, unless that is no wider than a feed-forward matrix, as where tokens are bytes."""
    last = [one for one in found if one.is_last and (loss != "language" or is_narrow(one))]
    return [each for one in last for each in (one.weight, *one.vectors)]


def is_narrow(one: Layer) -> bool:
    """Of a head or an embedding: no wider than a feed-forward matrix."""
    words, width = (one.inputs, one.outputs) if one.kind == "embedding" else (one.outputs, one.inputs)
    return words <= _WIDE * width


def _last(found: Sequence[Layer], share: float) -> list[Layer]:
    return list(found[len(found) - max(1, round(len(found) * share)) :])


def _deep(found: Sequence[Layer], loss: str) -> list[str]:
    convolutions = [one for one in found if one.kind in ("pointwise", "depthwise", "kernel")]
    inner = [one for one in found if not one.is_last and one.kind != "embedding"]
    if len(convolutions) * 2 < len(found):
        blocks = _last(inner, _TRANSFORMER) if inner else []
        return [each for one in blocks for each in (one.weight, *one.vectors)] + head_of(found, loss)
    vectors = _vectors(_last(found, _BIASES_DEEP))
    depthwise = {one.weight for one in found if one.kind == "depthwise"}
    candidates = [one for one in inner if one.kind != "depthwise"]
    late = {one.weight for one in _last(found, _WEIGHTS_DEEP)}
    widening = [one for one in candidates if one.after & depthwise]
    pointwise = [one for one in candidates if one.kind == "pointwise"]
    # Where nothing is narrow, every second one, the last among them.
    weights = widening or pointwise or [one for one in candidates if one.weight in late][::-2]
    return vectors + [one.weight for one in weights if one.weight in late] + head_of(found, loss)


def _adapters(graph: Graph, found: Sequence[Layer], rank: int) -> tuple[Adapter, ...]:
    return tuple(
        Adapter(one.weight, min(rank, one.inputs, one.outputs), ALPHA)
        for one in found
        if one.kind == "dense" and not one.is_last and one.weight in graph.constants
    )


def from_file(graph: Graph, path: Path) -> Scheme:
    """TOML: `tensors`, a list of names or patterns (`blocks.1*.bias`), each of which must match; `name`, `pieces` and
    `channels`, optionally; `[lora]` with `tensors` and `rank`, `alpha`, optionally."""
    try:
        given = tomllib.loads(path.read_text("utf-8"))
        lora = given.get("lora", {})
        if not isinstance(lora, dict):
            raise TypeError("lora is no table")
        unknown = (set(given) - {"name", "tensors", "pieces", "channels", "lora"}) | (
            set(lora) - {"tensors", "rank", "alpha"}
        )
        if unknown:
            raise ValueError(f"it has {', '.join(sorted(unknown))}, which nothing reads")
        pieces = int(given.get("pieces", 1))
        if pieces < 1:
            raise ValueError("a batch has at least 1 piece")
        channels = float(given.get("channels", 1.0))
        if not 0 < channels <= 1:
            raise ValueError("channels is a share, above 0 and at most 1")
        tensors = _matched(graph, _names(given.get("tensors", [])), path)
        rank, alpha = int(lora.get("rank", RANK)), float(lora.get("alpha", ALPHA))
        if rank < 1:
            raise ValueError("the rank of an adapter is at least 1")
        adapted = _matched(graph, _names(lora.get("tensors", [])), path)
    except (OSError, ValueError, TypeError) as error:
        raise SchemeUnreadable(path=path, detail=str(error)) from error
    both = sorted(set(tensors) & set(adapted))
    if both:
        raise SchemeUnreadable(path=path, detail=f"{both[0]} is both trained and adapted")
    if not tensors and not adapted:
        raise SchemeEmpty(detail=f"{path} names no tensors")
    adapters = tuple(Adapter(one, rank, alpha) for one in adapted)
    return Scheme(str(given.get("name", path.stem)), tuple(tensors), adapters, pieces, channels)


def _names(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise TypeError("tensors is no list of names")
    return value


def _matched(graph: Graph, patterns: Sequence[str], path: Path) -> list[str]:
    there = [name for name, value in graph.constants.items() if is_float(value.dtype)]
    found: list[str] = []
    for pattern in patterns:
        matching = [pattern] if pattern in there else [name for name in there if fnmatchcase(name, pattern)]
        if not matching:
            near = get_close_matches(pattern, there, n=1, cutoff=0.4)
            hint = f" (the nearest is {near[0]})" if near else ""
            raise SchemeUnreadable(path=path, detail=f"the network has no tensor {pattern!r}{hint}")
        found += matching
    return list(dict.fromkeys(found))
