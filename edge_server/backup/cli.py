"""`kinflow edge backup FILE`, `kinflow edge backup verify FILE`, `kinflow edge restore FILE`."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer
from typer.core import TyperGroup

from node.home import find_home

if TYPE_CHECKING:
    from edge_server.backup.contents import Manifest

MAKE = "make"


class FileGroup(TyperGroup):
    """`backup FILE` is short for `backup make FILE`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = [MAKE, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=FileGroup, help="Back the edge server up into one encrypted file: `backup FILE`.", no_args_is_help=True
)

File = Annotated[Path, typer.Argument(help="The backup.")]
Home = Annotated[Path | None, typer.Option(help="The state folder; else $KINFLOW_HOME or the usual place.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
PassphraseFile = Annotated[
    Path | None, typer.Option("--passphrase-file", help="Its first line is the passphrase; - reads standard input.")
]


@app.command(name=MAKE)
def make(file: File, passphrase_file: PassphraseFile = None, home: Home = None, as_json: AsJson = False) -> None:
    """Write a backup and read it back. The edge server may run meanwhile."""
    from edge_server.backup.subject import subject_of  # noqa: PLC0415
    from edge_server.backup.write import write_backup  # noqa: PLC0415
    from edge_server.errors import BackupFailed  # noqa: PLC0415
    from node.clock import SystemClock  # noqa: PLC0415

    if file.exists():
        raise BackupFailed(path=file.parent, detail=f"{file.name} is there already")
    passphrase = _passphrase(passphrase_file, twice=True)
    manifest = write_backup(subject_of(home or find_home()), file, passphrase, SystemClock().wall_ms())
    _tell(file, manifest, as_json, "written, and read back")


@app.command()
def verify(file: File, passphrase_file: PassphraseFile = None, as_json: AsJson = False) -> None:
    """Read all of a backup, and tell whether it is whole and what it holds."""
    from edge_server.backup.read import check  # noqa: PLC0415

    _tell(file, check(file, _passphrase(passphrase_file, twice=False)), as_json, "whole")


def bring_back(
    file: File,
    passphrase_file: PassphraseFile = None,
    home: Home = None,
    aside: Annotated[bool, typer.Option("--aside", help="Rename a state folder that is there already.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a state folder of a backup: all of it or nothing."""
    from edge_server.backup.restore import restore  # noqa: PLC0415
    from node.clock import SystemClock  # noqa: PLC0415
    from node.file_lock import hold_state  # noqa: PLC0415

    folder = home or find_home()
    passphrase = _passphrase(passphrase_file, twice=False)
    if aside and (folder / "edge.db").exists():
        hold_state(folder / "edge.db").close()  # an edge server that runs there keeps its folder
    done = restore(file, passphrase, folder, SystemClock().wall_ms(), aside=aside)
    _tell(file, done.manifest, as_json, f"restored into {done.home}", done.aside)


def _tell(file: Path, manifest: Manifest, as_json: bool, what: str, aside: Path | None = None) -> None:
    if as_json:
        figures = {
            "file": str(file),
            "edge": manifest.edge,
            "software": manifest.software,
            "made_ms": manifest.made_ms,
            "files": len(manifest.files),
            "stores": sum(one.store for one in manifest.files),
            "content_bytes": sum(one.size_bytes for one in manifest.files),
            "aside": str(aside) if aside else None,
        }
        typer.echo(json.dumps(figures))
        return
    made = datetime.fromtimestamp(manifest.made_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    typer.echo(f"{file}: {what}. {manifest.edge}, {made}, {len(manifest.files)} files, {manifest.software}.")
    if aside:
        typer.echo(f"What was there before is in {aside}.")


def _passphrase(file: Path | None, twice: bool) -> str:
    from edge_server.backup.passphrase import from_file  # noqa: PLC0415

    if file is not None:
        return from_file(sys.stdin.readline() if str(file) == "-" else file)
    return str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=twice, err=True))
