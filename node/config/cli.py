"""`kinflow config`: write, check and show the settings."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from node.config.load import FILE_NAME, Effective, load
from node.config.sources import FIELDS
from node.home import find_home
from node.redaction import redact

app = typer.Typer(help="Write, check and show the settings.", add_completion=False, no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
FileArgument = Annotated[Path | None, typer.Argument(help="A settings file; else kinflow.toml in the state folder.")]


@app.command()
def init(force: Annotated[bool, typer.Option(help="Write over a file that is there.")] = False) -> int:
    """Write a kinflow.toml that explains each setting."""
    path = find_home() / FILE_NAME
    if path.exists() and not force:
        typer.echo(f"{path} is there already; --force writes over it.", err=True)
        return 1
    path.parent.mkdir(parents=True, exist_ok=True)
    # It may come to hold a broker's password: for its owner only, from the first byte.
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(template())
    typer.echo(f"Wrote {path}.")
    return 0


@app.command()
def check(file: FileArgument = None, as_json: AsJson = False) -> None:
    """Judge a settings file together with the environment, and tell what it sets and where each value comes from."""
    effective = load(find_home(), file=file)
    _print(effective, sorted(effective.origins), as_json, reveal=False)
    if not as_json:
        typer.echo(f"{len(effective.origins)} settings are set, and all can be used.")


@app.command()
def show(
    file: FileArgument = None,
    effective: Annotated[bool, typer.Option("--effective", help="Every setting, the defaults included.")] = False,
    reveal: Annotated[bool, typer.Option("--reveal/--redacted", help="Show passwords.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the settings that hold. Passwords are struck out unless asked for."""
    found = load(find_home(), file=file)
    _print(found, list(FIELDS) if effective else sorted(found.origins), as_json, reveal)


def template() -> str:
    return (files("node.config") / FILE_NAME).read_text("utf-8")


def described(effective: Effective, keys: list[str], reveal: bool = False) -> dict[str, dict[str, object]]:
    """Each key's value and where it comes from, ready for JSON."""
    values = {key: msgspec.to_builtins(effective.value(key)) for key in keys}
    return {
        key: {
            "value": value if reveal else redact(value),
            "from": effective.origin(key).kind,
            "where": effective.origin(key).where,
        }
        for key, value in values.items()
    }


def _print(effective: Effective, keys: list[str], as_json: bool, reveal: bool) -> None:
    settings = described(effective, keys, reveal)
    if as_json:
        typer.echo(json.dumps({"ok": True, "settings": settings}))
        return
    for key, one in settings.items():
        typer.echo(f"{key} = {json.dumps(one['value'])}    # {one['where']}")
