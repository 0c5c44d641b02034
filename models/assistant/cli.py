"""`kinflow ask`, `kinflow chat`, `kinflow mcp` and `kinflow assistant`."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from models.assistant.corrections import Corrections
from models.assistant.diary import Diary, Entry
from models.assistant.here import open_here, passphrase_of
from models.assistant.notes import Notes
from models.assistant.pending_file import PendingFile
from models.assistant.question import LIMIT, MOST
from models.assistant.reply import Piece, Policy, Reply
from models.errors import DiaryLocked, NotInDiary, QuestionUnfit
from node.clock import SystemClock
from node.config.load import load
from node.home import find_home
from node.printable import printable

app = typer.Typer(help="The assistant's notes and corrections.", add_completion=False, no_args_is_help=True)
SHORTEST_PASSPHRASE = 8


class TierName(StrEnum):
    device = "device"
    edge = "edge"
    cloud = "cloud"


class TooLongName(StrEnum):
    refuse = "refuse"
    newest = "newest"
    summarise = "summarise"


Home = Annotated[Path | None, typer.Option(help="The state folder; else $KINFLOW_HOME or the usual place.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
MaxTier = Annotated[TierName, typer.Option("--max-tier", help="The highest tier that may see what you ask.")]
ShareNotes = Annotated[bool, typer.Option("--share-notes", help="A question about notes may leave this machine, too.")]
TooLong = Annotated[
    TooLongName,
    typer.Option(help="Of a question that does not fit: nothing, its newest part, or its most telling sentences."),
]


def ask(  # noqa: PLR0917 (its options)
    question: Annotated[str | None, typer.Argument(help="In plain words; left out or -: from standard input.")] = None,
    max_tier: MaxTier = TierName.edge,
    share_notes: ShareNotes = False,
    too_long: TooLong = TooLongName.refuse,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Answer one question about this site. A question back is answered by `kinflow ask yes` within five minutes."""
    text = _given(question)
    folder = home or find_home()
    policy = Policy(max_tier=max_tier.value, share_notes=share_notes, too_long=too_long.value)
    clock = SystemClock()
    pending = PendingFile(folder, clock.wall_ms, clock.monotonic_ms)
    here = open_here(folder, policy)
    here.go_on(pending.load())
    reply = None
    for said in here.stream(text, policy):
        if isinstance(said, Piece) and not as_json:
            sys.stdout.write(printable(said.text))
            sys.stdout.flush()
        elif isinstance(said, Reply):
            reply = said
    assert reply is not None
    pending.save(here.session)
    here.desk.close()
    if as_json:
        typer.echo(json.dumps(receipt(reply, here.trouble), ensure_ascii=False))
    else:
        typer.echo()
        typer.echo(f"({in_words(reply)}{'; ' + here.trouble if here.trouble else ''})", err=True)


def chat(
    max_tier: MaxTier = TierName.edge,
    share_notes: ShareNotes = False,
    too_long: TooLong = TooLongName.refuse,
    home: Home = None,
) -> None:
    """Talk with the assistant. Ctrl-C stops an answer; twice, or Ctrl-D, leaves."""
    from models.assistant.chat import Chat  # noqa: PLC0415

    folder = home or find_home()
    policy = Policy(max_tier=max_tier.value, share_notes=share_notes, too_long=too_long.value)
    Chat(open_here(folder, policy), policy).run()


def mcp(home: Home = None) -> None:
    """Serve the assistant's tools to programs that speak MCP, over standard input and output."""
    from models.assistant.mcp_server import serve  # noqa: PLC0415

    serve(home or find_home(), sys.stdin.buffer, sys.stdout.buffer)


@app.command()
def notes(
    as_json: AsJson = False,
    delete: Annotated[int | None, typer.Option(help="Delete the note of this number.")] = None,
    home: Home = None,
) -> None:
    """List the notes, or delete one."""
    found = Notes(_diary(home))
    if delete is not None:
        if not found.forget([delete]):
            raise NotInDiary(kind="note", name=str(delete))
        return
    _list("notes", found.all(), as_json, lambda body: str(body["text"]))


@app.command()
def corrections(
    as_json: AsJson = False,
    delete: Annotated[int | None, typer.Option(help="Delete the correction of this number.")] = None,
    home: Home = None,
) -> None:
    """List the better answers that were given, or delete one."""
    found = Corrections(_diary(home))
    if delete is not None:
        found.delete(delete)
        return
    _list("corrections", found.all(), as_json, lambda body: f"{body['question']} -> {body['better']}")


@app.command()
def history(
    as_json: AsJson = False,
    clear: Annotated[bool, typer.Option("--clear", help="Delete all of it.")] = False,
    home: Home = None,
) -> None:
    """List what was said in `kinflow chat`, or delete it."""
    diary = _diary(home)
    if clear:
        typer.echo(f"Deleted: {diary.clear('turn', '')}.")
        return
    _list("history", diary.entries("turn", ""), as_json, lambda body: f"{body['question']} -> {body['answer']}")


@app.command()
def lock(
    passphrase_file: Annotated[Path | None, typer.Option(help="Its first line is the passphrase; else typed.")] = None,
    home: Home = None,
) -> None:
    """Encrypt notes, corrections and history under a passphrase. Without it nobody can read them again."""
    from models.assistant.here import read_key  # noqa: PLC0415

    folder = home or find_home()
    if passphrase_file is not None:
        new = read_key(passphrase_file, folder)
    else:
        new = getpass.getpass("New passphrase: ")
        if getpass.getpass("Again: ") != new:
            raise DiaryLocked(path=folder, detail="the two passphrases differ")
    if len(new) < SHORTEST_PASSPHRASE:
        raise DiaryLocked(path=folder, detail=f"a passphrase has at least {SHORTEST_PASSPHRASE} characters")
    _diary(home).lock(new)
    typer.echo("Encrypted.")


@app.command()
def unlock(home: Home = None) -> None:
    """Keep notes, corrections and history without encryption from now on."""
    _diary(home).lock(None)
    typer.echo("Not encrypted any more.")


def receipt(reply: Reply, trouble: str = "") -> dict[str, object]:
    told: dict[str, object] = msgspec.to_builtins(reply)
    told.pop("type")
    if trouble:
        told["why"] = f"{reply.why}; {trouble}"
    return told


def in_words(reply: Reply) -> str:
    sent = f", {reply.bytes_sent} bytes sent" if reply.bytes_sent else ", nothing sent"
    return f"{reply.tier}, {reply.seconds:.2f} s{sent}: {reply.why}"


def _given(question: str | None) -> str | bytes:
    """The argument, or what stands on standard input."""
    if question is not None and question != "-":
        return question
    if sys.stdin.isatty():
        raise QuestionUnfit(detail="none was given", limit=LIMIT)
    # What is longer is too long however it is read.
    given = sys.stdin.buffer.read(MOST + 1)
    if len(given) > MOST:
        raise QuestionUnfit(detail=f"it has more than {MOST} bytes", limit=LIMIT)
    return given


def _diary(home: Path | None) -> Diary:
    folder = home or find_home()
    return Diary(folder, passphrase_of(load(folder).settings, folder))


def _list(name: str, entries: list[Entry], as_json: bool, words: Callable[[dict[str, Any]], str]) -> None:
    if as_json:
        rows = [{"id": one.id, "made_ms": one.made_ms, **one.body} for one in entries]
        typer.echo(json.dumps({name: rows}, ensure_ascii=False))
        return
    for one in entries:
        at = datetime.fromtimestamp(one.made_ms / 1000, UTC).strftime("%Y-%m-%d %H:%MZ")
        typer.echo(f"{one.id:>5}  {at}  {printable(words(one.body))}")
