"""A family, as its `family.toml` tells it: one version of one set of weights, and the members on each tier."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from models.errors import ManifestWrong

NAME = "family.toml"
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9._-]{0,62}$")]
# A file beside the manifest, never one elsewhere.
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._+-]{0,126}$")]
Tier = Literal["device", "edge", "cloud"]


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a member needs on one kind of hardware, measured there."""

    memory_mb: Annotated[float, Meta(gt=0)]
    decode_tokens_per_s: Annotated[float, Meta(gt=0)]
    prefill_tokens_per_s: Annotated[float, Meta(gt=0)]


class Calibration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """temperature: divides the logits before they are read as confidence. threshold: the confidence from which an
    answer stands; below it, the tier above is asked. held_back: answers it was fitted on."""

    temperature: Annotated[float, Meta(gt=0)] = 1.0
    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.0
    held_back: Annotated[int, Meta(ge=0)] = 0


class Member(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """tier: where it lives unless told otherwise. file and sha256: its weights, beside the manifest; empty for an
    external one. exit: trunk blocks below its exit, in a nested family. url and model: of the server of an external
    one, which speaks OpenAI's protocol. profiles: by hardware profile (node/hardware)."""

    name: Name
    tier: Tier
    file: FileName | None = None
    sha256: Sha256 | None = None
    size_bytes: Annotated[int, Meta(ge=0)] = 0
    exit: Annotated[int, Meta(ge=1)] | None = None
    url: str = ""
    model: str = ""
    loss: float | None = None
    profiles: dict[str, Profile] = {}
    calibration: Calibration = Calibration()


class Continuation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Goes on where another member, or segment, has stopped: from the hidden states behind block `after` of the whole
    to the end of `of`. last_block: the last one it computes."""

    of: Name
    after: Annotated[int, Meta(ge=0)]
    last_block: Annotated[int, Meta(ge=0)]
    file: FileName
    sha256: Sha256
    size_bytes: Annotated[int, Meta(ge=0)] = 0


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """realisation: how members hang together. nested: exits on one trunk. siblings: one tokenizer, weights of their
    own. segments: one model cut up, which only answers as a whole. source_sha256: of the file that nested members and
    segments were cut from; hidden states are exchanged between parts of one source only."""

    name: Name
    version: str
    realisation: Literal["nested", "siblings", "segments"]
    licence: str
    tokenizer_sha256: Sha256
    members: Annotated[tuple[Member, ...], Meta(min_length=1)]
    continuations: tuple[Continuation, ...] = ()
    source_sha256: Sha256 | None = None
    credits: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()

    @property
    def hashes(self) -> frozenset[str]:
        files: list[Member | Continuation] = [*self.members, *self.continuations]
        return frozenset(one.sha256 for one in files if one.sha256 is not None)


def read_manifest(folder: Path) -> Manifest:
    """Raises ManifestWrong (KF403)."""
    path = folder / NAME
    try:
        manifest = msgspec.toml.decode(path.read_bytes(), type=Manifest)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise ManifestWrong(path=path, detail=error) from error
    names = [one.name for one in manifest.members]
    if len(set(names)) != len(names):
        raise ManifestWrong(path=path, detail="two members have one name")
    for member in manifest.members:
        if (member.file is None) == (not member.url) or (member.file is None) != (member.sha256 is None):
            raise ManifestWrong(path=path, detail=f"{member.name} needs either file and sha256, or url")
    for one in manifest.continuations:
        if one.of not in names:
            raise ManifestWrong(path=path, detail=f"a continuation is of {one.of!r}, which is no member")
    if manifest.realisation in ("nested", "segments") and manifest.source_sha256 is None:
        raise ManifestWrong(path=path, detail="it does not say which file its parts were cut from")
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    path = folder / NAME
    part = path.with_name(f".{NAME}.part")
    part.write_bytes(encode_toml(msgspec.to_builtins(manifest)))
    part.replace(path)
    return path


def encode_toml(value: dict[str, object]) -> bytes:
    """TOML of plain values, tables last. msgspec can only read it without a package more."""
    return ("\n".join(_table(value, ())) + "\n").encode()


def _table(value: dict[str, object], path: tuple[str, ...]) -> list[str]:
    plain = {key: one for key, one in value.items() if one is not None and not _is_table(one)}
    lines = [f"{key} = {_scalar(one)}" for key, one in plain.items()]
    for key, one in value.items():
        inner = (*path, key)
        if isinstance(one, dict):
            lines += ["", f"[{'.'.join(map(_key, inner))}]", *_table(one, inner)]
        elif _is_table(one) and isinstance(one, list | tuple):
            for row in one:
                lines += ["", f"[[{'.'.join(map(_key, inner))}]]", *_table(row, inner)]
    return lines


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list | tuple) and bool(value) and isinstance(value[0], dict))


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else _scalar(name)


def _scalar(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_scalar, value))}]"
    # JSON's texts, numbers and truth values are TOML's as well.
    return msgspec.json.encode(value).decode()
