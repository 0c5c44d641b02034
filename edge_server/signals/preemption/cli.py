"""`kinflow edge vehicle` and `kinflow edge preemption`: the key file, and the log."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.home import find_home

if TYPE_CHECKING:
    from edge_server.signals.preemption.log_lines import Told

vehicle = typer.Typer(help="Vehicles that may ask for the signals, and their keys.", no_args_is_help=True)
preemption = typer.Typer(help="The log of pre-emption.", no_args_is_help=True)

Home = Annotated[Path | None, typer.Option(help="The state folder; else $KINFLOW_HOME or the usual place.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@vehicle.command()
def add(  # noqa: PLR0917 (a command's options)
    name: Annotated[str, typer.Argument(help="The vehicle's id, as it speaks on the wire.")],
    role: Annotated[str, typer.Option(help="ambulance, fire-engine, police, bus or freight.")],
    key: Annotated[str, typer.Option(help="Its Ed25519 public key, base64; without one a pair is made.")] = "",
    shift: Annotated[list[str] | None, typer.Option(help="Such as 'mon-fri 06:00-22:00'; none means always.")] = None,
    note: Annotated[str, typer.Option(help="For people.")] = "",
    home: Home = None,
) -> None:
    """Enter a vehicle, or enter it anew. A key that is made here lies in NAME.key: bring it to the vehicle."""
    import msgspec  # noqa: PLC0415

    from edge_server.errors import VehicleKeysUnusable  # noqa: PLC0415
    from edge_server.signals.preemption import vehicles as files  # noqa: PLC0415

    path = (home or find_home()) / files.FILE_NAME
    private = None
    if not key:
        private, key = _pair()
    entry = {"id": name, "role": role, "key": key, "shifts": shift or [], "note": note}
    try:
        fresh = msgspec.convert(entry, files.VehicleEntry)
    except msgspec.ValidationError as error:
        raise VehicleKeysUnusable(path=path, detail=f"{name}: {error}") from error
    with files.changing(path):
        others = tuple(one for one in files.read_file(path).vehicle if one.id != name)
        files.write_file(path, files.VehicleFile((*others, fresh)))
    if private is not None:
        from node.trust.keys import write_private  # noqa: PLC0415

        write_private(path.with_name(f"{name}.key"), private)
        typer.echo(f"{name} may ask as {role}. Its private key is in {path.with_name(f'{name}.key')}: bring it there.")
    else:
        typer.echo(f"{name} may ask as {role}.")


@vehicle.command(name="list")
def show(as_json: AsJson = False, home: Home = None) -> None:
    """Who may ask."""
    from edge_server.signals.preemption import vehicles as files  # noqa: PLC0415

    file = files.read_file((home or find_home()) / files.FILE_NAME)
    if as_json:
        import msgspec  # noqa: PLC0415

        typer.echo(json.dumps({"vehicles": [msgspec.structs.asdict(one) for one in file.vehicle]}))
        return
    for one in file.vehicle:
        typer.echo(f"{one.id:<24}{one.role:<14}{one.key[:12]}…  {', '.join(one.shifts) or 'always'}")


@vehicle.command()
def remove(name: Annotated[str, typer.Argument(help="The vehicle's id.")], home: Home = None) -> None:
    """Believe a vehicle no more, from now on."""
    from edge_server.signals.preemption import vehicles as files  # noqa: PLC0415

    path = (home or find_home()) / files.FILE_NAME
    with files.changing(path):
        known = files.read_file(path)
        left = tuple(one for one in known.vehicle if one.id != name)
        if len(left) == len(known.vehicle):
            typer.echo(f"There is no vehicle {name!r}.", err=True)
            raise typer.Exit(1)
        files.write_file(path, files.VehicleFile(left))
    typer.echo(f"{name} may ask no more.")


@preemption.command()
def verify(as_json: AsJson = False, home: Home = None) -> None:
    """Check the chain of every file of the log, and replay those of this version."""
    from edge_server.errors import PreemptionLogBroken  # noqa: PLC0415
    from edge_server.signals.preemption.log_lines import Reading, edition, read_lines, replay  # noqa: PLC0415

    found = []
    before: str | None = None
    for path in _files(home):
        reading, problem = Reading(), ""
        try:
            for _ in read_lines(path, reading):
                pass
            if reading.begun is not None and reading.begun.edition == edition():
                for _ in replay(path, Reading()):
                    pass
            if reading.begun is None or (before is not None and reading.begun.before != before):
                raise PreemptionLogBroken(path=path, line=1, detail="it does not follow from the file before")
        except PreemptionLogBroken as error:
            problem = error.cause_text
        found.append({"file": path.name, "lines": reading.lines, "problem": problem})
        before = reading.head
    if as_json:
        typer.echo(json.dumps({"files": found}))
    else:
        for one in found:
            typer.echo(f"{one['file']}: {one['lines']} lines, {one['problem'] or 'whole'}")
    if any(one["problem"] for one in found):
        raise typer.Exit(1)


@preemption.command()
def log(as_json: AsJson = False, home: Home = None) -> None:
    """Replay the newest file of the log: what came, and what was done about it."""
    from edge_server.signals.preemption.log_lines import Reading, replay  # noqa: PLC0415

    files = _files(home)
    if not files:
        typer.echo("There is no log of pre-emption yet.", err=True)
        raise typer.Exit(1)
    for told in replay(files[-1], Reading()):
        typer.echo(_line(told, as_json))


def _line(told: Told, as_json: bool) -> str:
    import msgspec  # noqa: PLC0415

    if as_json:
        done = [{"what": type(one).__name__, **msgspec.structs.asdict(one)} for one in told.effects]
        said = {"line": told.number, "intersection": told.intersection, "event": msgspec.to_builtins(told.event)}
        return json.dumps({**said, "effects": done})
    at = datetime.fromtimestamp(told.event.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    effects = "; ".join(
        f"{type(one).__name__} {' '.join(str(value) for value in msgspec.structs.astuple(one))}".strip()
        for one in told.effects
    )
    return f"{at}Z  {told.intersection:<16}{type(told.event).__name__:<10}{effects}"


def _files(home: Path | None) -> list[Path]:
    """Oldest first."""
    folder = home or find_home()
    newest = folder / "preemption.chain"
    return [*sorted(folder.glob("preemption-*.chain")), *([newest] if newest.exists() else [])]


def _pair() -> tuple[bytes, str]:
    from cryptography.hazmat.primitives import serialization as how  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(how.Encoding.PEM, how.PrivateFormat.PKCS8, how.NoEncryption())
    raw = key.public_key().public_bytes(how.Encoding.Raw, how.PublicFormat.Raw)
    return pem, base64.b64encode(raw).decode("ascii")
