"""`kinflow update`: look, install, go back, and tell how it stands."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from node.config.load import load
from node.config.schema import Settings
from node.errors import UpdateNotPossible
from node.home import find_home
from node.logs import configure_logs
from node.update import request
from node.update.journal import Journal, load_journal
from node.update.places import Places, find_prefix

if TYPE_CHECKING:
    from node.update.runner import Runner

app = typer.Typer(help="Look for a new version, install it, or go back.", add_completion=False, no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
ROOT_NAME = "root.json"


@app.command()
def check(
    source: Annotated[str | None, typer.Option(help="An address or a folder; else the configured source.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask the source what is current. Nothing is changed."""
    from node.update.health import running_version  # noqa: PLC0415 (a source's libraries are for those who ask it)
    from node.update.opening import open_targets  # noqa: PLC0415
    from node.update.version import is_newer, is_version  # noqa: PLC0415

    home = find_home()
    channel = open_targets(home, load(home).settings, source or "").refresh()
    running = running_version()
    newer = is_version(running) and is_newer(channel.version, running)
    told = {"running": running, "current": channel.version, "published": channel.published, "newer": newer}
    if as_json:
        typer.echo(json.dumps(told))
    elif newer:
        typer.echo(f"Version {channel.version} of {channel.published} is newer than {running}, which runs.")
    else:
        typer.echo(f"{running} runs; {channel.version} is current.")


@app.command()
def run(as_json: AsJson = False) -> None:
    """Finish what was begun and do what was asked for: the services call this. Ends when there is nothing to do."""
    home = find_home()
    settings = load(home).settings
    configure_logs("update", home, settings.log.level)
    _tell(_runner(home, settings).run(automatic=settings.update.automatic), as_json)


@app.command("now")
def now(
    version: Annotated[str | None, typer.Option(help="Only this one; else whatever is current.")] = None,
    source: Annotated[str | None, typer.Option(help="An address or a folder; else the configured source.")] = None,
    as_json: AsJson = False,
) -> None:
    """Install what is current, from the configured source."""
    _install(request.Request(version=version, source=source), as_json)


@app.command("from")
def from_folder(
    folder: Annotated[Path, typer.Argument(help="A folder with metadata/ and targets/, on a USB stick for instance.")],
    as_json: AsJson = False,
) -> None:
    """Install what a folder holds. It needs no network, and is trusted no more than the net."""
    _install(request.Request(source=str(folder.resolve())), as_json)


@app.command()
def model(
    name: Annotated[str, typer.Argument(help="As it was released: NAME or FAMILY/NAME.")],
    source: Annotated[str | None, typer.Option(help="An address or a folder; else the configured source.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to; else models/ in the state folder.")] = None,
) -> None:
    """Fetch a model's file, signed like a release."""
    from node.update.bundle import is_safe  # noqa: PLC0415
    from node.update.opening import open_targets  # noqa: PLC0415

    if not is_safe(name):
        raise UpdateNotPossible(detail=f"{name[:80]!r} is no model's name")
    home = find_home()
    targets = open_targets(home, load(home).settings, source or "")
    targets.refresh()
    found = targets.find(f"models/{name}")
    if found is None:
        raise UpdateNotPossible(detail=f"the source has no model {name}")
    typer.echo(targets.download(found, out or home / "models" / name))


@app.command()
def status(as_json: AsJson = False) -> None:
    """Tell which version runs, how far an update is, and how the last one ended."""
    home = find_home()
    journal = load_journal(home / "update" / "state.json")
    if journal is None:
        try:
            current = Places(find_prefix(), home).in_use()
        except UpdateNotPossible:
            current = None
        journal = Journal(version=current or "")
    _tell(journal, as_json)


@app.command()
def rollback(as_json: AsJson = False) -> None:
    """Call a trial off, or go back to the version before where it was kept (update.keep_previous)."""
    _install(request.Request(action="rollback"), as_json)


@app.command()
def trust(
    root: Annotated[Path, typer.Argument(help="The maintainers' root.json.")],
    replace: Annotated[bool, typer.Option("--replace", help="Even where another root is there.")] = False,
) -> int:
    """Put the maintainers' root of trust in place: once, on the first set-up. Later ones come signed by it."""
    from node.update.durable import write_durably  # noqa: PLC0415
    from node.update.opening import describe_root  # noqa: PLC0415

    data, path = root.read_bytes(), find_home() / "update" / ROOT_NAME
    told = describe_root(data)
    if path.exists() and path.read_bytes() != data and not replace:
        typer.echo(f"{path} holds another root. --replace puts this one in its place:\n{told}", err=True)
        return 1
    write_durably(path, data)
    typer.echo(f"Trusted from now on:\n{told}")
    return 0


@app.command("step-down", hidden=True)
def step_down() -> None:
    """Bring stores back that a newer version has migrated. The boot selector calls this."""
    from node.update.runner import step_down as bring_back  # noqa: PLC0415

    places = Places(find_prefix(), find_home())
    bring_back(places, Path(sys.prefix).name)


def _install(wish: request.Request, as_json: bool) -> None:
    """At once where this user may; else it is left to the service."""
    home = find_home()
    settings = load(home).settings
    prefix = find_prefix()
    under_way = load_journal(home / "update" / "state.json")
    if os.access(prefix / "versions", os.W_OK) and (under_way is None or under_way.phase == "idle"):
        configure_logs("update", home, settings.log.level)
        _tell(_runner(home, settings).run(asked=wish), as_json)
        return
    request.ask(home / "update" / "wanted", wish)
    typer.echo("The update service was asked; `kinflow update status` tells how it goes.")


def _runner(home: Path, settings: Settings) -> Runner:
    from node.update.opening import open_targets  # noqa: PLC0415
    from node.update.runner import Limits, Runner  # noqa: PLC0415

    update = settings.update
    return Runner(
        Places(find_prefix(), home),
        machine_arch(),
        lambda source: open_targets(home, settings, source),
        Limits(gate_s=update.gate_s, trial_s=update.trial_s, keep_previous=update.keep_previous),
    )


def machine_arch() -> str:
    """As bundles name it."""
    return {"aarch64": "arm64", "amd64": "x86_64"}.get(platform.machine(), platform.machine())


def _tell(journal: Journal, as_json: bool) -> None:
    last = journal.last
    if as_json:
        told = {
            "version": journal.version,
            "phase": journal.phase,
            "target": journal.target,
            "last": msgspec.to_builtins(last),
            "refused": msgspec.to_builtins(journal.refused),
        }
        typer.echo(json.dumps(told))
        return
    typer.echo(f"version  {journal.version or 'none that can be updated'}")
    if journal.phase != "idle":
        typer.echo(f"update   to {journal.target}: {journal.phase}")
    if last is not None:
        reason = f" ({last.reason.code}: {last.reason.text})" if last.reason else ""
        typer.echo(f"last     {last.version or 'an update'}: {last.result}{reason}")
