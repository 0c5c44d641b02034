"""`kinflow edge user` and `kinflow edge token`: accounts and tokens, on the edge server's own machine.

Whoever may read the state folder may do all of it. A running edge server sees each change at once.
"""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from edge_server.accounts.accounts import Accounts
from edge_server.accounts.file import FILE_NAME
from edge_server.accounts.need import Role
from edge_server.accounts.rows import Actor
from edge_server.gateway.auth import load_or_make_token
from node.clock import SystemClock
from node.home import find_home

user = typer.Typer(help="People who may use the dashboard.", no_args_is_help=True)
token = typer.Typer(help="Print the machine's own key; make, list and revoke tokens for programs.")

DAYS = 365

Home = Annotated[Path | None, typer.Option(help="The state folder; else $KINFLOW_HOME or the usual place.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Name = Annotated[str, typer.Argument(help="Lower-case letters, digits and hyphens.")]
RoleOption = Annotated[Role, typer.Option("--role", help="viewer, operator or admin.")]


@user.command("add")
def add_user(name: Name, role: RoleOption = "viewer", home: Home = None) -> None:
    """Make an account. The password is asked for, or read from standard input; from the first account on everybody
    signs in."""
    with _accounts(home) as accounts:
        first = not accounts.exist()
        made = accounts.users.add(name.lower(), role, _password(), at_console())
        typer.echo(f"{made.name} may sign in as {made.role}.")
        if first:
            typer.echo("From now on everybody signs in, on this machine too.")


@user.command("list")
def list_users(as_json: AsJson = False, home: Home = None) -> None:
    """List the accounts."""
    with _accounts(home) as accounts:
        rows = accounts.users.all()
    if as_json:
        typer.echo(json.dumps({"users": [asdict(row) for row in rows]}))
        return
    for row in rows:
        typer.echo(f"{row.name:<24}{row.role:<10}last signed in: {_time(row.signed_in_ms)}")


@user.command("set-role")
def set_role(name: Name, role: RoleOption, home: Home = None) -> None:
    """Give an account another role; it is signed out everywhere."""
    with _accounts(home) as accounts:
        accounts.users.set_role(name, role, at_console())
    typer.echo(f"{name} is {role} now.")


@user.command("password")
def set_password(name: Name, home: Home = None) -> None:
    """Set a new password, asked for or read from standard input; the account is signed out everywhere."""
    with _accounts(home) as accounts:
        accounts.users.set_password(name, _password(), at_console())
    typer.echo(f"The password of {name} is changed.")


@user.command("remove")
def remove_user(name: Name, home: Home = None) -> None:
    """Remove an account, with its sessions and the tokens that it made."""
    with _accounts(home) as accounts:
        accounts.users.remove(name, at_console())
    typer.echo(f"{name} is removed.")


@token.callback(invoke_without_command=True)
def print_root(context: typer.Context, home: Home = None) -> None:
    """Print the machine's own key, which may do everything; with a command, keep tokens for programs."""
    if context.invoked_subcommand is None:
        typer.echo(load_or_make_token(home or find_home()))


@token.command("make")
def make_token(
    name: Name,
    role: RoleOption = "viewer",
    days: Annotated[int, typer.Option(min=1, max=3_650, help="How long it is valid.")] = DAYS,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Make a token for a program and print it, once."""
    with _accounts(home) as accounts:
        made, secret = accounts.tokens.make(name, role, days, at_console())
    typer.echo(json.dumps({**asdict(made), "token": secret}) if as_json else secret)


@token.command("list")
def list_tokens(as_json: AsJson = False, home: Home = None) -> None:
    """List the tokens; the tokens themselves are kept nowhere."""
    with _accounts(home) as accounts:
        rows = accounts.tokens.all()
    if as_json:
        typer.echo(json.dumps({"tokens": [asdict(row) for row in rows]}))
        return
    for row in rows:
        until = _time(row.expires_ms)
        typer.echo(f"{row.name:<24}{row.role:<10}until {until}  last used: {_time(row.used_ms)}  by {row.made_by}")


@token.command("revoke")
def revoke_token(name: Name, home: Home = None) -> None:
    """Revoke a token at once."""
    with _accounts(home) as accounts:
        accounts.tokens.revoke(name, at_console())
    typer.echo(f"{name} is revoked.")


@contextmanager
def _accounts(home: Path | None) -> Iterator[Accounts]:
    folder = home or find_home()
    accounts = Accounts(folder / FILE_NAME, SystemClock(), load_or_make_token(folder))
    try:
        yield accounts
    finally:
        accounts.close()


def at_console() -> Actor:
    """Whoever sits at the machine, for the audit."""
    return Actor(f"{getpass.getuser()}@console")


def _password() -> str:
    """Never from the command line, which every user of the machine can read."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt="The same again"))


def _time(at_ms: int | None) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if at_ms is not None else "never"
