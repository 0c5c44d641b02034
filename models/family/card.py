"""A model card: what is known of a family or a file, in plain words, and what is not known said as well."""

from __future__ import annotations

from models.family.describe import Described
from models.family.manifest import Manifest, Member


def card_of_family(manifest: Manifest) -> str:
    lines = [
        f"# {manifest.name} {manifest.version}",
        "",
        f"Realisation: {manifest.realisation}. Licence: {manifest.licence or 'not stated'}.",
        f"Tokenizer: {manifest.tokenizer_sha256}",
        "",
        "| member | tier | loss | file | SHA-256 |",
        "|---|---|---|---|---|",
        *(_row(member) for member in manifest.members),
    ]
    lines += [
        f"| from block {one.after + 1} of {one.of} | | | {one.file} | {one.sha256} |" for one in manifest.continuations
    ]
    measured = [(member.name, name, one) for member in manifest.members for name, one in member.profiles.items()]
    if measured:
        lines += [
            "",
            "| member | hardware | memory, MB | decode, tokens/s | prefill, tokens/s |",
            "|---|---|---|---|---|",
        ]
        for member, name, one in measured:
            figures = (one.memory_mb, one.decode_tokens_per_s, one.prefill_tokens_per_s)
            lines.append(f"| {member} | {name} | {' | '.join(f'{figure:g}' for figure in figures)} |")
    else:
        lines += ["", "Memory and speed: not measured."]
    lines += ["", "Limits:", *(f"- {one}" for one in manifest.limits or ("none are stated, which does not mean none",))]
    lines += ["", "Credits:", *(f"- {one}" for one in manifest.credits or ("none are stated",))]
    return "\n".join(lines)


def card_of_file(one: Described) -> str:
    kinds = ", ".join(f"{kind} {size / 1e6:.1f} MB" for kind, size in one.kinds.items())
    return "\n".join(
        [
            f"# {one.name}",
            "",
            f"Architecture: {one.architecture}, {one.blocks} blocks, {one.parameters / 1e6:.2f} M parameters.",
            f"Context: {one.context_tokens} tokens. Size: {one.size_bytes / 1e6:.1f} MB ({kinds}).",
            *([f"Segment: {one.segment}."] if one.segment else []),
            f"Licence: {one.licence}.",
            f"SHA-256: {one.sha256} ({'accepted' if one.accepted else 'quarantined'})",
            f"Tokenizer: {one.tokenizer_sha256}",
            "",
            "What it was trained on and how good it is: the file does not say.",
        ]
    )


def _row(member: Member) -> str:
    loss = "not measured" if member.loss is None else f"{member.loss:.3f}"
    place = member.file or member.url
    return f"| {member.name} | {member.tier} | {loss} | {place} | {member.sha256 or 'external'} |"
