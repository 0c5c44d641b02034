"""`kinflow serving`: weights behind OpenAI's protocol, without a family and without a site."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from models.serving.keys_cli import app as keys
from models.serving.separation.cli import prefill
from node.config.load import load
from node.config.schema import Serving
from node.home import find_home

app = typer.Typer(help="Serve weights to many at once.", add_completion=False, no_args_is_help=True)
app.command()(prefill)
app.add_typer(keys, name="keys")
TOKEN_FILE = "tier-token"  # noqa: S105 (the name of a file)

Home = Annotated[Path | None, typer.Option(help="The state folder; else $KINFLOW_HOME or the usual place.")]


@app.callback()
def serving() -> None:
    """Serve weights to many at once."""


@app.command()
def run(  # noqa: PLR0917 (its options)
    file: Annotated[Path, typer.Argument(help="A .gguf file that was accepted: `kinflow models verify`.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="On this machine's loopback; 0 takes a free one.")] = 8804,
    sequences: Annotated[int | None, typer.Option(min=1, max=64, help="Answers at once; else as set.")] = None,
    context_tokens: Annotated[
        int | None, typer.Option("--context", min=64, max=131_072, help="Tokens of each; else as set.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=0, max=256, help="0 leaves one processor to the rest.")] = None,
    fast: Annotated[
        bool | None, typer.Option("--fast/--exact", help="F16 and fused attention, or F32 whatever comes together.")
    ] = None,
    home: Home = None,
) -> None:
    """Serve one file by OpenAI's protocol until Ctrl-C or SIGTERM. Prints its address."""
    from models.engine.trust import Trust  # noqa: PLC0415 (needs the extras family and edge)
    from models.escalation.served import served  # noqa: PLC0415
    from models.escalation.standalone import TierServer  # noqa: PLC0415
    from models.serving.holding import file_holding  # noqa: PLC0415
    from models.serving.keys import FILE_NAME, KeyFile  # noqa: PLC0415
    from models.serving.separation.opening import opener_of  # noqa: PLC0415
    from node.token_file import load_or_make_token  # noqa: PLC0415

    folder = home or find_home()
    given = load(folder).settings.serving
    settings = Serving(
        sequences=sequences or given.sequences,
        context_tokens=context_tokens or given.context_tokens,
        threads=given.threads if threads is None else threads,
        fast=given.fast if fast is None else fast,
    )
    # What is wrong with the file is told here, not to whoever asks first.
    holding = file_holding(file, settings, Trust(folder / "models"))
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    member = served(lambda: holding, opener=opener_of(folder, given), keys=KeyFile(folder / FILE_NAME))
    server = TierServer(member, port, load_or_make_token(folder / TOKEN_FILE))
    server.start()
    told = {"url": f"http://127.0.0.1:{server.port}", "token_file": str(folder / TOKEN_FILE), "model": holding.name}
    typer.echo(json.dumps(told))
    sys.stdout.flush()
    server.run(stopping)
