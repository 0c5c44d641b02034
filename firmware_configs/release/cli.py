"""`kinflow release`: keys, signatures and a repository of updates, for maintainers (docs/releasing.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from firmware_configs.release.keys import load_public, load_signer, make_key
from firmware_configs.release.repository import Holders, Repository

app = typer.Typer(help="Sign and publish releases, for maintainers.", add_completion=False, no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="The repository's folder.")]
Key = Annotated[Path, typer.Option("--key", help="A key's file; its passphrase is asked for.")]
PassphraseFile = Annotated[
    Path | None, typer.Option("--passphrase-file", help="A file whose first line is the passphrase.")
]
RootKeys = Annotated[list[Path], typer.Option("--root", help="Public keys of root; several.")]
TargetKeys = Annotated[list[Path], typer.Option("--targets", help="Public keys of targets; several.")]
Online = Annotated[Path, typer.Option("--online", help="The public key of snapshot and timestamp.")]
Threshold = Annotated[int, typer.Option(min=1, help="How many of those must sign.")]


@app.command()
def keys(
    paths: Annotated[list[Path], typer.Argument(help="Where each key is written; its public half goes to PATH.pub.")],
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make keys, encrypted with a passphrase."""
    for path in paths:
        key = make_key(path, _passphrase(path, passphrase_file, confirm=True))
        typer.echo(f"{key.keyid}  {path}")


@app.command()
def init(  # noqa: PLR0917 (a command's options)
    folder: Folder,
    root: RootKeys,
    targets: TargetKeys,
    releases: Annotated[list[Path], typer.Option("--releases", help="Public keys of releases; several.")],
    models: Annotated[list[Path], typer.Option("--models", help="Public keys of models; several.")],
    online: Online,
    root_threshold: Threshold = 2,
    targets_threshold: Threshold = 1,
    releases_threshold: Threshold = 1,
    models_threshold: Threshold = 1,
) -> None:
    """Begin a repository; then `sign` with enough keys, and `publish`."""
    delegated = {
        "releases": Holders([load_public(one) for one in releases], releases_threshold),
        "models": Holders([load_public(one) for one in models], models_threshold),
    }
    holders = Holders([load_public(one) for one in root], root_threshold)
    top = Holders([load_public(one) for one in targets], targets_threshold)
    Repository(folder).init(holders, top, delegated, load_public(online))
    _tell(folder)


@app.command()
def root(  # noqa: PLR0917 (a command's options)
    folder: Folder,
    root: RootKeys,
    targets: TargetKeys,
    online: Online,
    root_threshold: Threshold = 2,
    targets_threshold: Threshold = 1,
) -> None:
    """Draft other keys. Enough of the old root keys and enough of the new ones must sign."""
    holders = Holders([load_public(one) for one in root], root_threshold)
    top = Holders([load_public(one) for one in targets], targets_threshold)
    Repository(folder).rotate_root(holders, top, load_public(online))
    _tell(folder)


@app.command()
def add(folder: Folder, bundles: Annotated[list[Path], typer.Argument(help="Tars that kinflow bundle made.")]) -> None:
    """Draft bundles, each with the list of what it is made of."""
    for tar in bundles:
        for path in Repository(folder).add_release(tar):
            typer.echo(path)


@app.command()
def model(folder: Folder, name: Annotated[str, typer.Argument(help="NAME or FAMILY/NAME.")], file: Path) -> None:
    """Draft a model's file."""
    typer.echo(Repository(folder).add_model(name, file))


@app.command()
def current(folder: Folder, version: str) -> None:
    """Draft which version devices are to have."""
    Repository(folder).set_current(version)
    _tell(folder)


@app.command()
def withdraw(folder: Folder, target: str) -> None:
    """Draft that a target is no longer signed for."""
    Repository(folder).withdraw(target)
    _tell(folder)


@app.command()
def renew(folder: Folder, role: Annotated[str, typer.Argument(help="root, targets, releases or models.")]) -> None:
    """Draft the same content with a later end."""
    Repository(folder).renew(role)
    _tell(folder)


@app.command()
def sign(folder: Folder, key: Key, passphrase_file: PassphraseFile = None) -> None:
    """Sign every draft in which this key has a say."""
    signed = Repository(folder).sign(load_signer(key, _passphrase(key, passphrase_file)))
    typer.echo(f"Signed: {', '.join(signed) or 'nothing'}")
    _tell(folder)


@app.command()
def publish(folder: Folder, key: Key, passphrase_file: PassphraseFile = None) -> None:
    """Publish the drafts with the online key; without drafts, renew the timestamp. Then serve FOLDER/public."""
    Repository(folder).publish(load_signer(key, _passphrase(key, passphrase_file)))
    _tell(folder)


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def status(
    folder: Folder, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Tell what is published, until when it is good, and what drafts lack."""
    if as_json:
        typer.echo(json.dumps(Repository(folder).status()))
    else:
        _tell(folder)


def _tell(folder: Path) -> None:
    for role, one in Repository(folder).status().items():
        published = f"version {one['version']}, until {one['expires']}" if one["version"] else "not published"
        draft = f"; draft: {one['draft']}" if one["draft"] else ""
        typer.echo(f"{role:<10}{published}{draft}")


def _passphrase(key: Path, file: Path | None, confirm: bool = False) -> str:
    if file is not None:
        return file.read_text("utf-8").splitlines()[0]
    answer = typer.prompt(f"Passphrase of {key}", hide_input=True, confirmation_prompt=confirm)
    return str(answer)
