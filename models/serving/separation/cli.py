"""`kinflow serving prefill`: compute prompts for machines that go on from their keys and values."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from node.config.load import is_loopback, load
from node.home import find_home

if TYPE_CHECKING:
    from models.serving.holding import Holding

DEFAULT_LISTEN = "127.0.0.1:8805"


class TierName(StrEnum):
    device = "device"
    edge = "edge"
    cloud = "cloud"


def prefill(  # noqa: PLR0917 (its options)
    family: Annotated[str, typer.Option(help="A folder with a family.toml, or its name; else [serving] family.")] = "",
    file: Annotated[Path | None, typer.Option(help="A .gguf file that was accepted, instead of a family.")] = None,
    member: Annotated[str, typer.Option(help="One member by name; else that of the tier.")] = "",
    tier: Annotated[TierName, typer.Option(help="Of those who will ask.")] = TierName.edge,
    listen: Annotated[str, typer.Option(help="host:port; port 0 takes a free one.")] = DEFAULT_LISTEN,
    allow_lan: Annotated[bool, typer.Option("--allow-lan", help="Be reached from other machines.")] = False,
    threads: Annotated[int | None, typer.Option(min=0, max=256, help="Else [serving] threads.")] = None,
    sequences: Annotated[int | None, typer.Option(min=1, max=64, help="Prompts at once; else [serving].")] = None,
    context_tokens: Annotated[int | None, typer.Option(min=64, max=131_072, help="Of each; else [serving].")] = None,
    fast: Annotated[bool | None, typer.Option("--fast/--exact", help="As of those who will ask; else as set.")] = None,
    home: Annotated[Path | None, typer.Option(help="The state folder; else $KINFLOW_HOME or the usual place.")] = None,
) -> None:
    """Compute prompts for machines that share the secret, until Ctrl-C or SIGTERM. Prints its address."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise typer.BadParameter("it is host:port", param_hint="--listen")
    if not allow_lan and not is_loopback(host.strip("[]")):
        raise typer.BadParameter(f"{host} is not this machine itself; add --allow-lan", param_hint="--listen")
    folder = home or find_home()
    given = load(folder).settings.serving
    settings = replace(
        given,
        family=family or given.family,
        member=member or given.member,
        threads=given.threads if threads is None else threads,
        sequences=sequences or given.sequences,
        context_tokens=context_tokens or given.context_tokens,
        fast=given.fast if fast is None else fast,
    )
    from models.engine.trust import Trust  # noqa: PLC0415 (needs the extra family)
    from models.serving.holding import file_holding, find_holding  # noqa: PLC0415

    trust = Trust(folder / "models")
    holding = file_holding(file, settings, trust) if file else find_holding(folder, settings, tier.value)
    asyncio.run(_serve(folder, holding, host.strip("[]"), int(port)))


async def _serve(home: Path, holding: Holding, host: str, port: int) -> None:
    from models.serving.separation.secret import FILE, read_secret  # noqa: PLC0415
    from models.serving.separation.worker import PrefillWorker  # noqa: PLC0415
    from models.serving.stall_free import StallFreeScheduler  # noqa: PLC0415
    from node.errors import PortInUse  # noqa: PLC0415
    from node.token_file import load_or_make_token  # noqa: PLC0415

    load_or_make_token(home / FILE)
    secret = read_secret(home / FILE)
    scheduler = await StallFreeScheduler.open(holding.engine)
    worker = PrefillWorker(scheduler, secret)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        try:
            taken = await worker.start(host, port)
        except OSError as error:
            raise PortInUse(port=port, host=host, user="another program") from error
        typer.echo(json.dumps({"listen": f"{host}:{taken}", "secret_file": str(home / FILE), "model": holding.name}))
        sys.stdout.flush()
        await stopping.wait()
    finally:
        await worker.close()
        holding.close()
