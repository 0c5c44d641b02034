"""`kinflow serving keys`: keys for programs that ask `/v1`, on the server's own machine."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import asdict

from models.serving.keys import FILE_NAME, KeyFile
from models.serving.limits import Allowed
from node.home import find_home

app = typer.Typer(help="Keys for programs that ask /v1: add, list, revoke.", no_args_is_help=True)

Home = Annotated[Path | None, typer.Option(help="The state folder; else $KINFLOW_HOME or the usual place.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Name = Annotated[str, typer.Argument(help="Lower-case letters, digits and hyphens.")]


@app.command()
def add(  # noqa: PLR0917 (its options)
    name: Name,
    tenant: Annotated[str, typer.Option(help="Whose key it is; else a tenant of the key's own name.")] = "",
    requests_per_minute: Annotated[int | None, typer.Option(min=0, help="Of the tenant; 0 for no limit.")] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(min=0, help="Prompts and answers; 0 for no limit.")] = None,
    concurrent: Annotated[int | None, typer.Option(min=0, help="Answers at once; 0 for no limit.")] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Make a key and print it, once. A running server takes it at once."""
    keys = _keys(home)
    before = keys.ring().allowed(tenant or name)
    allowed = Allowed(
        requests_per_minute=before.requests_per_minute if requests_per_minute is None else requests_per_minute,
        tokens_per_minute=before.tokens_per_minute if tokens_per_minute is None else tokens_per_minute,
        concurrent=before.concurrent if concurrent is None else concurrent,
    )
    secret = keys.add(name, tenant, allowed)
    made = {"name": name, "tenant": tenant or name, **asdict(allowed), "key": secret}
    typer.echo(json.dumps(made) if as_json else secret)


@app.command("list")
def list_keys(as_json: AsJson = False, home: Home = None) -> None:
    """List the keys and what their tenants may use; the keys themselves are kept nowhere."""
    ring = _keys(home).ring()
    rows = [
        {"name": one.name, "tenant": one.tenant, "made_s": one.made_s, **asdict(ring.allowed(one.tenant))}
        for one in ring.keys
    ]
    if as_json:
        typer.echo(json.dumps({"keys": rows}))
        return
    for one, row in zip(ring.keys, rows, strict=True):
        made = datetime.fromtimestamp(one.made_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        limits = ", ".join(
            f"{row[field]} {words}"
            for field, words in (
                ("requests_per_minute", "requests a minute"),
                ("tokens_per_minute", "tokens a minute"),
                ("concurrent", "at once"),
            )
            if row[field]
        )
        typer.echo(f"{one.name:<24}{one.tenant:<24}made {made}  {limits or 'no limits'}")


@app.command()
def revoke(name: Name, home: Home = None) -> None:
    """Revoke a key. A running server refuses it at once."""
    _keys(home).revoke(name)
    typer.echo(f"{name} is revoked.")


def _keys(home: Path | None) -> KeyFile:
    return KeyFile((home or find_home()) / FILE_NAME)
