"""`kinflow bench kv`: what it gains to bring keys and values from elsewhere instead of computing them again. A case is
a file of its own, kv_CASE.py."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


class Case(StrEnum):
    handoff = "handoff"


def kv(  # noqa: PLR0917 (its options)
    case: Annotated[Case, typer.Option(help="handoff: from one worker to another.")] = Case.handoff,
    family: Annotated[str, typer.Option(help="A family; else a file of the engine benchmark's shape.")] = "",
    tokens: Annotated[int, typer.Option(min=1, max=100_000, help="Compared one by one behind a prompt.")] = 10_000,
    prompt_tokens: Annotated[int, typer.Option(min=2, max=16_384)] = 1024,
    threads: Annotated[int, typer.Option(min=0, help="0 for one a processor.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Keys and values that move, against computing them again: exactness, bytes, the bandwidth from which it pays."""
    from benchmarks.cli import show, told  # noqa: PLC0415
    from benchmarks.kv_handoff import Setting, measure  # noqa: PLC0415

    del case  # the only one so far
    with told():
        show(measure(Setting(family, tokens, prompt_tokens, threads)), as_json)
