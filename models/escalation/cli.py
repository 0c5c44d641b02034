"""`kinflow tiers`: a text by the family's members, and a tier of its own on this machine."""

from __future__ import annotations

import json
import signal
import sys
import threading
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from models.assistant.summary import TooLong
from models.engine.sampling import Sampling
from models.errors import NothingServed
from models.escalation.receipt import Receipt, Terms
from node.config.load import load
from node.config.schema import Serving
from node.home import find_home
from node.printable import printable

app = typer.Typer(
    help="Text by a family's members: answer, escalate, serve a tier.", add_completion=False, no_args_is_help=True
)
TOKEN_FILE = "tier-token"  # noqa: S105 (the name of a file)


class TierName(StrEnum):
    device = "device"
    edge = "edge"
    cloud = "cloud"


class TooLongName(StrEnum):
    refuse = "refuse"
    newest = "newest"
    summarise = "summarise"


class WayName(StrEnum):
    auto = "auto"
    device = "device"
    question = "question"
    hidden = "hidden"
    draft = "draft"


Home = Annotated[Path | None, typer.Option(help="The state folder; else $KINFLOW_HOME or the usual place.")]
Family = Annotated[str, typer.Option(help="A folder with a family.toml, or its name; else [serving] family.")]
MemberName = Annotated[str, typer.Option(help="One member by name; else that of the tier.")]
Fast = Annotated[
    bool | None, typer.Option("--fast/--exact", help="F16 and fused attention, or F32 whatever is computed together.")
]


@app.command()
def serve(  # noqa: PLR0917 (its options)
    tier: Annotated[TierName, typer.Option(help="Which tier this is.")] = TierName.edge,
    family: Family = "",
    member: MemberName = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="On this machine's loopback; 0 takes a free one.")] = 8803,
    above: Annotated[str, typer.Option(help="The server of the tier above; else [serving] above.")] = "",
    token_file: Annotated[str, typer.Option(help="Holds a token of it.")] = "",
    fast: Fast = None,
    home: Home = None,
) -> None:
    """Serve a member by OpenAI's protocol, and to tiers below it, until Ctrl-C or SIGTERM. Prints its address."""
    from models.escalation.served import served_of  # noqa: PLC0415 (needs the extras family and edge)
    from models.escalation.standalone import TierServer  # noqa: PLC0415
    from node.token_file import load_or_make_token  # noqa: PLC0415

    folder = home or find_home()
    settings = _settings(folder, family, member, fast)
    settings = replace(
        settings, above=above or settings.above, above_token_file=token_file or settings.above_token_file
    )
    served = served_of(folder, settings, tier.value)
    if served is None:
        raise NothingServed(detail="no family is set, and this version brings none")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    server = TierServer(served, port, load_or_make_token(folder / TOKEN_FILE))
    server.start()
    typer.echo(json.dumps({"url": f"http://127.0.0.1:{server.port}", "token_file": str(folder / TOKEN_FILE)}))
    sys.stdout.flush()
    server.run(stopping)


@app.command()
def ask(  # noqa: PLR0917 (its options)
    text: Annotated[str, typer.Argument(help="What is said; -: from standard input.")],
    max_tier: Annotated[TierName, typer.Option(help="The highest tier that may see it.")] = TierName.device,
    way: Annotated[WayName, typer.Option(help="auto goes up where this member is not sure, the fastest way.")] = (
        WayName.auto
    ),
    family: Family = "",
    member: MemberName = "",
    above: Annotated[str, typer.Option(help="The server of the tier above; else [serving] above.")] = "",
    token_file: Annotated[str, typer.Option(help="Holds a token of it.")] = "",
    too_long: Annotated[
        TooLongName, typer.Option(help="Of a text that does not fit: nothing, its newest part, or a summary.")
    ] = TooLongName.refuse,
    max_tokens: Annotated[int, typer.Option(min=1, max=100_000)] = 128,
    temperature: Annotated[float, typer.Option(min=0.0, max=100.0)] = 0.0,
    seed: Annotated[int | None, typer.Option(min=0)] = None,
    deadline_s: Annotated[float | None, typer.Option(help="The tier above is not waited for after that.")] = None,
    budget_bytes: Annotated[int | None, typer.Option(min=0, help="The most that may be sent up.")] = None,
    exact_states: Annotated[
        bool, typer.Option("--fp32", help="Hidden states as they are, not in a byte each.")
    ] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Go on with the text itself, not with an answer to it.")] = False,
    fast: Fast = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    home: Home = None,
) -> None:
    """One text by the device's member; where it may and must, with the tier above."""
    from models.escalation.answer import Answering, Bit  # noqa: PLC0415
    from models.escalation.lower import above_of, external_above, lower_of  # noqa: PLC0415
    from models.escalation.port import Question  # noqa: PLC0415
    from models.serving.fitting import fitting_chat, fitting_text  # noqa: PLC0415
    from models.serving.holding import find_holding  # noqa: PLC0415
    from models.serving.template import Said, stops_of  # noqa: PLC0415

    folder = home or find_home()
    settings = _settings(folder, family, member, fast)
    settings = replace(
        settings, above=above or settings.above, above_token_file=token_file or settings.above_token_file
    )
    holding = find_holding(folder, settings, "device")
    terms = Terms(
        max_tier=max_tier.value,
        way=way.value,
        deadline_s=deadline_s,
        budget_bytes=budget_bytes,
        kind="fp32" if exact_states else "int8",
    )
    given = sys.stdin.read() if text == "-" else text
    # With --max-tier device nothing that could open a socket is even imported.
    higher = None
    if terms.max_tier != "device":
        higher = above_of(folder, settings, "device") or external_above(holding, settings, "device")
    here = lower_of(holding, "device")
    said = [Said("user", given)]
    limit = here.engine.facts.longest_tokens
    how: TooLong = too_long.value
    tokens = fitting_text(here.engine, given, limit, how) if raw else fitting_chat(here.engine, said, limit, how)
    stops = () if raw else stops_of(here.engine)
    sampling = Sampling(temperature=temperature, seed=seed, max_tokens=max_tokens, stop=stops)
    messages: str | list[dict[str, str]] = given if raw else [{"role": "user", "content": given}]
    answer, receipt = "", None
    for one in Answering(here, higher, terms).answer(Question(tokens, messages), sampling):
        if isinstance(one, Bit):
            answer += one.text
            if not as_json:
                typer.echo(printable(one.text), nl=False)
        else:
            receipt = one
    assert isinstance(receipt, Receipt)
    if higher is not None:
        higher.close()
    here.engine.close()
    holding.close()
    if as_json:
        typer.echo(json.dumps({"answer": answer, **receipt.told()}, ensure_ascii=False))
        return
    typer.echo()
    typer.echo(f"({receipt.tier}, {receipt.seconds:.2f} s, {receipt.bytes_sent} bytes sent: {receipt.why})", err=True)


def _settings(home: Path, family: str, member: str, fast: bool | None) -> Serving:
    settings = load(home).settings
    found, assistant = settings.serving, settings.assistant
    # The edge server that the assistant asks is the tier above, where nothing else is said.
    above, token = (found.above, found.above_token_file) if found.above else (assistant.edge, assistant.token_file)
    return replace(
        found,
        above=above,
        above_token_file=token,
        family=family or found.family,
        member=member or found.member,
        fast=found.fast if fast is None else fast,
    )
