"""`kinflow sbom`: what Kinflow is made of, as CycloneDX 1.6."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from firmware_configs.errors import SbomNotMade
from firmware_configs.sbom import contents, licences
from firmware_configs.sbom.cyclonedx import encode
from firmware_configs.sbom.make import of_this_environment, require_fit


def sbom(
    extra: Annotated[
        list[str] | None,
        typer.Option("--extra", help="agent, edge, cloud, sim or dev; may be repeated. Else the tiers installed here."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The file to write; else standard output.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Fail where a licence is unknown or must not be in it.")
    ] = False,
) -> None:
    """List what Kinflow is made of here: packages, browser libraries and weights, as CycloneDX 1.6 JSON."""
    known = contents.project().extras
    if wrong := [one for one in extra or () if one not in known]:
        raise typer.BadParameter(f"{wrong[0]!r} is not one of {', '.join(sorted(known))}.", param_hint="--extra")
    made, parts = of_this_environment(extra)
    if check:
        require_fit(parts, licences.load())
    if out is None:
        typer.echo(encode(made).decode(), nl=False)
        return
    try:
        out.write_bytes(encode(made))
    except OSError as error:
        raise SbomNotMade(detail=f"{out}: {error.strerror}") from error
    typer.echo(f"{out}: {len(made.components)} components of kinflow {parts.version} ({', '.join(parts.extras)})")
