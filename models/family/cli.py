"""`kinflow models`: the weights on this machine, and what can be made of them."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from models.errors import WeightsUnreadable
from protocol.errors import KinflowError

app = typer.Typer(
    help="Weights: list, pull, verify, split, quantize, card.", add_completion=False, no_args_is_help=True
)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


@app.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """What lies in the state folder, and what can be pulled by name."""
    from models.family.describe import describe  # noqa: PLC0415
    from models.family.shelf import families, files, models_folder, open_trust, public_families  # noqa: PLC0415

    trust, folder = open_trust(), models_folder()
    rows: list[dict[str, object]] = []
    for path in files(folder):
        try:
            rows.append(asdict(describe(path, trust)))
        except WeightsUnreadable as error:
            rows.append({"path": str(path), "fault": error.cause_text})
    kin = [
        {"folder": str(place), "name": one.name, "version": one.version, "realisation": one.realisation}
        if not isinstance(one, KinflowError)
        else {"folder": str(place), "fault": one.cause_text}
        for place, one in families(folder)
    ]
    public = {name: {"url": one.url, "licence": one.licence} for name, one in public_families().items()}
    if as_json:
        typer.echo(json.dumps({"files": rows, "families": kin, "public": public}))
        return
    for row in rows:
        state = row.get("fault") or ("accepted" if row["accepted"] else "quarantined")
        typer.echo(f"{Path(str(row['path'])).name}: {state}")
    for one in kin:
        typer.echo(f"family {one.get('name', one['folder'])}: {one.get('fault') or one['realisation']}")
    if not rows and not kin:
        typer.echo(f"Nothing lies in {folder}.")
    for name, entry in public.items():
        typer.echo(f"to pull: {name} (unverified; {entry['licence']})")


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(help="A .gguf, or the folder of a family.")],
    *,
    accept: Annotated[str | None, typer.Option(help="Let the file in whose SHA-256 this is.")] = None,
    as_json: AsJson = False,
) -> None:
    """What a file or a family holds, and whether it is whole. Status 1 when it is not."""
    from models.family.shelf import open_trust  # noqa: PLC0415
    from models.family.verify import verify as judge  # noqa: PLC0415

    trust = open_trust()
    if accept is not None:
        trust.accept(path, accept)
    verdict = judge(path, trust)
    if as_json:
        typer.echo(json.dumps({"files": [asdict(one) for one in verdict.files], "faults": verdict.faults}))
    else:
        for one in verdict.files:
            state = "accepted" if one.accepted else "quarantined"
            typer.echo(f"{one.path}: {one.architecture}, {one.blocks} blocks, {one.size_bytes} bytes, {state}")
            typer.echo(f"  SHA-256 {one.sha256}")
            if not one.accepted:
                typer.echo(f"  to accept it: kinflow models verify {one.path} --accept {one.sha256}")
        for fault in verdict.faults:
            typer.echo(f"fault: {fault}")
    if verdict.faults:
        raise typer.Exit(1)


@app.command()
def split(
    source: Annotated[Path, typer.Argument(help="A Llama-type .gguf, or a nested family's file.")],
    *,
    into: Annotated[Path, typer.Option(help="The folder to write the family into.")],
    at: Annotated[list[int] | None, typer.Option(help="A block at which the next segment begins; repeatable.")] = None,
    as_json: AsJson = False,
) -> None:
    """Cut weights into a segment for each tier, or a family file into its members, copying every block as it is."""
    import msgspec  # noqa: PLC0415

    from models.family.shelf import open_trust  # noqa: PLC0415
    from models.family.splitting import split as cut  # noqa: PLC0415

    manifest = cut(source, into, open_trust(), tuple(at or ()))
    if as_json:
        typer.echo(msgspec.json.encode(manifest).decode())
        return
    for member in manifest.members:
        typer.echo(f"{member.tier}: {into / str(member.file)} ({member.size_bytes / 1e6:.1f} MB)")
    for one in manifest.continuations:
        typer.echo(f"behind block {one.after}, for {one.of}: {into / one.file} ({one.size_bytes / 1e6:.1f} MB)")


@app.command()
def quantize(
    source: Path,
    target: Path,
    *,
    kind: Annotated[str, typer.Option("--type", help="One of q8_0, q6_k, q5_k_m, q4_k_m, q4_0, ...")] = "q4_k_m",
    as_json: AsJson = False,
) -> None:
    """Make weights smaller. The result is known here as the source is."""
    from models.engine.trust import fingerprint  # noqa: PLC0415
    from models.family.quantize import KINDS  # noqa: PLC0415
    from models.family.quantize import quantize as make  # noqa: PLC0415
    from models.family.shelf import open_trust  # noqa: PLC0415

    if kind not in KINDS:
        raise typer.BadParameter(f"{kind!r} is not one of {', '.join(KINDS)}.", param_hint="--type")
    trust = open_trust()
    trust.check(source)
    make(source, target, kind)
    found = fingerprint(target)
    trust.accept(target, found)
    sizes = (source.stat().st_size, target.stat().st_size)
    if as_json:
        typer.echo(json.dumps({"path": str(target), "sha256": found, "size_bytes": sizes[1], "source_bytes": sizes[0]}))
    else:
        typer.echo(f"{target}: {sizes[1] / 1e6:.1f} MB, from {sizes[0] / 1e6:.1f} MB")


@app.command()
def card(path: Annotated[Path, typer.Argument(help="A .gguf, or the folder of a family.")]) -> None:
    """What is known of a family or a file, as Markdown."""
    from models.family.card import card_of_family, card_of_file  # noqa: PLC0415
    from models.family.describe import describe  # noqa: PLC0415
    from models.family.manifest import read_manifest  # noqa: PLC0415
    from models.family.shelf import open_trust  # noqa: PLC0415

    typer.echo(card_of_family(read_manifest(path)) if path.is_dir() else card_of_file(describe(path, open_trust())))


@app.command()
def look(
    picture: Annotated[Path, typer.Argument(help="A JPEG, PNG, BMP, WebP or TIFF.")],
    question: Annotated[str, typer.Argument(help="What is asked about it.")] = "What can be seen in this picture?",
    *,
    model: Annotated[Path, typer.Option(help="A .gguf of a language model that reads pictures.")],
    projector: Annotated[Path, typer.Option(help="The mmproj .gguf that belongs to it.")],
    max_tokens: Annotated[int, typer.Option(min=1, max=100_000)] = 128,
    as_json: AsJson = False,
) -> None:
    """What a model of yours says about a picture (MiniCPM-V and others, with their mmproj). It may be wrong."""
    from models.family.shelf import open_trust  # noqa: PLC0415
    from models.serving.seeing import Sight  # noqa: PLC0415
    from models.vision.picture_file import decoded  # noqa: PLC0415
    from node.printable import printable  # noqa: PLC0415

    try:
        image = decoded(picture.read_bytes())
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{picture}: {error}", param_hint="PICTURE") from error
    sight = Sight(model, projector, open_trust())
    answer = ""
    try:
        for text in sight.told(image, question, max_tokens):
            answer += text
            if not as_json:
                typer.echo(printable(text), nl=False)
    finally:
        sight.close()
    typer.echo(json.dumps({"answer": answer, "model": model.name}, ensure_ascii=False) if as_json else "")


@app.command()
def pull(
    source: Annotated[
        str, typer.Argument(help="A name from `models list`, a URL, a .gguf, or a folder that holds some.")
    ],
    *,
    sha256: Annotated[str | None, typer.Option(help="What the file must be; then it is accepted at once.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch weights into the state folder; what was cut off goes on. Without a hash they are quarantined."""
    from models.family.pull import Pulled  # noqa: PLC0415
    from models.family.pull import pull as fetch  # noqa: PLC0415
    from models.family.shelf import files, models_folder, open_trust, public_families  # noqa: PLC0415

    named = public_families().get(source)
    places = [str(path) for path in files(Path(source))] if Path(source).is_dir() else [named.url if named else source]
    if sha256 is not None and len(places) != 1:
        raise typer.BadParameter(f"{source} holds {len(places)} files, and a hash is one's.", param_hint="--sha256")
    trust = open_trust()
    pulled: list[Pulled] = []
    for place in places:
        pulled.append(fetch(place, models_folder(), sha256=sha256, progress=_shown))
        if sha256 is not None:
            trust.accept(pulled[-1].path, sha256)
    rows = [{"path": str(one.path), "sha256": one.sha256, "accepted": trust.knows(one.sha256)} for one in pulled]
    if as_json:
        typer.echo(json.dumps({"files": rows, "fetched_bytes": sum(one.fetched_bytes for one in pulled)}))
        return
    for row in rows:
        typer.echo(f"{row['path']}\n  SHA-256 {row['sha256']}")
        if not row["accepted"]:
            typer.echo(f"  quarantined; to accept it: kinflow models verify {row['path']} --accept {row['sha256']}")
    if not rows:
        typer.echo(f"{source} holds no .gguf.")


def _shown(done: int, total: int) -> None:
    if sys.stderr.isatty():
        share = f" of {total / 1e6:.0f} MB, {done / total:.0%}" if total else " MB"
        typer.echo(f"\r\033[K  {done / 1e6:.0f}{share}", err=True, nl=done == total)
