"""Cut a GGUF into segments, and a family file into its members, by copying blocks: no weight is computed anew.

A plain Llama-type file is cut at block numbers. A nested family file (AI Flow's familial models, arXiv 2506.12479, as
in Ruyi) has a trunk, and for each exit one block, a norm and a head of its own: a member is the trunk up to its exit,
and those. A continuation goes from one exit's trunk to a later exit's end, fed with the hidden states in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from models.errors import SplitImpossible
from models.gguf.fields import Field, Scalar, array, text, whole
from models.gguf.header import Header, Tensor
from models.gguf.kinds import Kind
from models.gguf.segment import Segment, tokenizer_of
from models.gguf.writer import Content, write

# Their graphs take hidden states as they come, and know no block by its number.
ARCHITECTURES = ("llama", "qwen2", "qwen3", "qwen3moe")
EMBEDDING, NORM, HEAD = "token_embd.weight", "output_norm.weight", "output.weight"
EXITS, MEMBERS = "kinflow.family.exits", "kinflow.family.members"
# A segment in the middle has no words; the library still asks for a table of them.
NO_WORDS = 32


@dataclass(frozen=True)
class Part:
    """One file to write. segment: what it says of its whole; None for a member, which is whole in itself."""

    name: str
    segment: Segment | None
    fields: dict[str, Field]
    tensors: tuple[Content, ...]


def parts_of(header: Header, sha256: str, cuts: Sequence[int] = ()) -> list[Part]:
    """cuts: block numbers at which a plain file is cut; a nested family file brings its own, and takes none.
    sha256: the file's. Raises SplitImpossible (KF404)."""
    if header.architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise SplitImpossible(
            path=header.path, detail=f"it is of the architecture {header.architecture!r}, not {known}"
        )
    if header.whole("nextn_predict_layers"):
        raise SplitImpossible(path=header.path, detail="it has blocks that predict several tokens")
    for name in (EMBEDDING, NORM):
        if name not in header.tensors and EXITS not in header.fields:
            raise SplitImpossible(path=header.path, detail=f"it has no {name}")
    if EXITS in header.fields:
        if cuts:
            raise SplitImpossible(path=header.path, detail="a family file brings its cuts along")
        return _Nested(header, sha256).parts()
    return _plain(header, sha256, cuts)


def write_parts(parts: Iterable[Part], folder: Path, stem: str) -> list[Path]:
    """Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for part in parts:
        paths.append(folder / f"{stem}-{part.name}.gguf")
        write(paths[-1], part.fields, part.tensors)
    return paths


def _plain(header: Header, sha256: str, cuts: Sequence[int]) -> list[Part]:
    total = header.whole("block_count")
    edges = [0, *cuts, total]
    if not cuts or sorted(set(edges)) != edges:
        raise SplitImpossible(path=header.path, detail=f"cuts rise from 1 to {total - 1}; these are {list(cuts)}")
    parts = []
    for first, end in pairwise(edges):
        segment = Segment(sha256, tokenizer_of(header), first, end - first, total)
        tensors = [*_blocks(header, first, end), *_shared(header)]
        fields = _fields(header, range(first, end)) | segment.fields()
        if segment.takes_tokens:
            # Its logits would mean nothing, so it does not carry a head of its own.
            tensors += [_copied(header, EMBEDDING), _copied(header, NORM)]
        elif segment.gives_logits:
            tensors += [_head(header), _copied(header, NORM)]
        else:
            fields = _without_words(fields, header.architecture)
            width = header.whole("embedding_length")
            tensors.append(Content(EMBEDDING, (width, NO_WORDS), Kind.F32, bytes(width * NO_WORDS * 4)))
            tensors.append(_copied(header, NORM))
        parts.append(Part(f"blocks-{first}-{end - 1}", segment, fields, tuple(tensors)))
    return parts


class _Nested:
    def __init__(self, header: Header, sha256: str) -> None:
        self._header = header
        self._sha256 = sha256
        exits = header.fields[EXITS].value
        names = header.fields[MEMBERS].value if MEMBERS in header.fields else None
        if not isinstance(exits, tuple) or not isinstance(names, tuple) or len(names) != len(exits) or not exits:
            raise SplitImpossible(path=header.path, detail="it does not name a member for each exit")
        self._exits = [one if isinstance(one, int) else 0 for one in exits]
        self._names = [str(one) for one in names]
        if sorted(set(self._exits)) != self._exits or self._exits[0] < 1:
            raise SplitImpossible(path=header.path, detail=f"its exits do not rise: {self._exits}")

    def parts(self) -> list[Part]:
        members = [self._cut(number, 0) for number in range(len(self._exits))]
        onward = [self._cut(number, begin) for number in range(len(self._exits)) for begin in self._exits[:number]]
        return members + onward

    def _cut(self, number: int, begin: int) -> Part:
        """The trunk from `begin` up to an exit, and the exit's own block, norm and head."""
        header, depth = self._header, self._exits[number]
        member = self._names[number]
        tensors = [*_blocks(header, begin, depth), *_shared(header)]
        prefix = f"exit.{number}."
        own = {name.removeprefix(prefix): one for name, one in header.tensors.items() if name.startswith(prefix)}
        if NORM not in own or not any(name.startswith("blk.") for name in own):
            raise SplitImpossible(path=header.path, detail=f"its exit {number} has no block and norm of its own")
        for name, tensor in own.items():
            if name.startswith("blk."):
                tensors.append(_renamed(header, tensor, f"blk.{depth - begin}.{name.removeprefix('blk.')}"))
        tensors.append(_renamed(header, own[NORM], NORM))
        head = own.get(HEAD)
        if begin or head is None:
            # What is fed with hidden states looks up no words: its head takes the table's place.
            tensors.append(_renamed(header, head or header.tensors[EMBEDDING], EMBEDDING))
        else:
            tensors += [_copied(header, EMBEDDING), _renamed(header, head, HEAD)]
        blocks = [*range(begin, depth), depth]
        fields = _fields(header, blocks)
        fields["general.name"] = text(f"{header.text('general.name') or header.path.stem} {member}")
        segment = Segment(self._sha256, tokenizer_of(header), begin, len(blocks), depth + 1)
        name = f"{member}-from-{begin}" if begin else member
        return Part(name, segment, fields | segment.fields(), tuple(tensors))


def _fields(header: Header, blocks: Sequence[int]) -> dict[str, Field]:
    """The whole's fields, for these of its blocks: per-block lists are cut with them."""
    total = header.whole("block_count")
    prefix = f"{header.architecture}."
    fields: dict[str, Field] = {}
    for key, field in header.fields.items():
        if key.startswith(("kinflow.", "split.")):
            continue
        values = field.value
        if key.startswith(prefix) and isinstance(values, tuple) and len(values) == total and field.element is not None:
            picked: tuple[Scalar, ...] = tuple(values[min(block, total - 1)] for block in blocks)
            fields[key] = array(field.element, picked)
        else:
            fields[key] = field
    fields[f"{prefix}block_count"] = whole(len(blocks))
    return fields


def _without_words(fields: dict[str, Field], architecture: str) -> dict[str, Field]:
    kept = {key: field for key, field in fields.items() if not key.startswith("tokenizer.")}
    return kept | {"tokenizer.ggml.model": text("no_vocab"), f"{architecture}.vocab_size": whole(NO_WORDS)}


def _blocks(header: Header, first: int, end: int) -> list[Content]:
    found = []
    for name, tensor in header.tensors.items():
        head, _, rest = name.partition(".")
        number, _, leaf = rest.partition(".")
        if head == "blk" and number.isdecimal() and first <= int(number) < end:
            found.append(_renamed(header, tensor, f"blk.{int(number) - first}.{leaf}"))
    if not found:
        raise SplitImpossible(path=header.path, detail=f"it has no blocks {first} to {end - 1}")
    return found


def _shared(header: Header) -> list[Content]:
    """What every block uses: factors of the rotary embedding."""
    return [_renamed(header, one, name) for name, one in header.tensors.items() if name.startswith("rope_")]


def _head(header: Header) -> Content:
    return _renamed(header, header.tensors.get(HEAD) or header.tensors[EMBEDDING], EMBEDDING)


def _copied(header: Header, name: str) -> Content:
    return _renamed(header, header.tensors[name], name)


def _renamed(header: Header, tensor: Tensor, name: str) -> Content:
    return Content(name, tensor.shape, tensor.kind, (header.path, tensor.offset))
