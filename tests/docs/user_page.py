"""The commands on a page for users, and whether Kinflow would take them."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import typer
import typer.core
import typer.main

from kinflow.mounts import MOUNTS

USERS = Path(__file__).resolve().parents[2] / "docs" / "users"
LIST_ITEM = re.compile(r"( *)(?:[-*]|\d+\.) +")
SPAN = re.compile(r"`(kinflow [^`…]+)`")


def blocks(text: str) -> list[list[str]]:
    """The fenced and indented blocks of a page, in order. A block inside a list item is indented further than it."""
    found: list[list[str]] = []
    depth, fenced, before = 0, False, ""
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        inside = fenced or (line.strip() != "" and indent >= depth + 4)
        if line.lstrip().startswith("```"):
            fenced = not fenced
            before = ""
            continue
        if inside:
            if not found or not before:
                found.append([])
            found[-1].append(line.strip())
        elif item := LIST_ITEM.match(line):
            depth = item.end()
        elif line.strip() and indent < depth:
            depth = 0
        before = line if inside else ""
    return found


def commands(name: str) -> list[str]:
    return [line for block in blocks((USERS / name).read_text("utf-8")) for line in block]


def spans(name: str) -> list[str]:
    """The commands that a page names in passing."""
    text = re.sub(r"\s+", " ", (USERS / name).read_text("utf-8"))
    return [one.strip() for one in SPAN.findall(text)]


def take(line: str) -> None:
    """Raises for a command that is not there, an option that it has not, or a value that it does not take."""
    _, name, *arguments = shlex.split(line)
    target = getattr(importlib.import_module(MOUNTS[name].module), MOUNTS[name].attribute)
    if not isinstance(target, typer.Typer):
        single = typer.Typer(add_completion=False)
        single.command()(target)
        target = single
    command = typer.main.get_command(target)
    if isinstance(command, typer.core.TyperGroup) and not arguments:
        return
    context = command.make_context(name, arguments)
    while isinstance(command, typer.core.TyperGroup):
        rest = [*context._protected_args, *context.args]
        if not rest:
            return
        name, command, arguments = command.resolve_command(context, rest)
        context = command.make_context(name, arguments, parent=context)
