"""`kinflow doctor`: check this installation, and say what to do."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer

from node.clock import SystemClock
from node.doctor.check import Context
from node.doctor.runner import discover, examine
from node.home import find_home
from node.redaction import redact_text


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Put right what can be put right.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check this installation, and say what to do. Ends with 0 when the checks ran, whatever they found."""
    checks = discover()
    results = examine(checks, Context(find_home(), SystemClock(), os.environ), fix)
    if as_json:
        found = [
            {"code": one.code, "slug": slug, "ok": one.ok, "advice": redact_text(one.advice)}
            for slug, one in results.items()
        ]
        typer.echo(json.dumps({"checks": found}))
        return
    for slug, one in results.items():
        typer.echo(f"{'ok' if one.ok else one.code:<6}{checks[slug].title}: {redact_text(one.advice)}")
    bad = sum(not one.ok for one in results.values())
    typer.echo(f"{len(results)} checks, {bad} found something.")
