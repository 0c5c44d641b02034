"""A conversation in the terminal: answers come as they are made, Ctrl-C stops one, and what was said is kept here."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass

from models.assistant.cli import in_words
from models.assistant.here import Here
from models.assistant.reply import Piece, Policy, Reply
from node.printable import printable
from protocol.errors import KinflowError

KEPT_TURNS = 500
_HELP = """  /better TEXT   keep TEXT as the better answer to the last question
  /why           who answered last, and why
  /history       what was said before
  /clear         forget what was said
  /quit          leave"""


@dataclass
class _Last:
    question: str
    reply: Reply


class Chat:
    """Over standard input and output. The keeping of what was said ends with a notice where notes can't be opened."""

    def __init__(self, here: Here, policy: Policy) -> None:
        self._here, self._policy = here, policy
        self._last: _Last | None = None
        self._keeps = True

    def run(self) -> None:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401, PLC0415 (arrow keys; not every Python has it)
        print("Ask about this site. /help lists what else there is; Ctrl-C stops an answer, twice leaves.")
        if self._here.trouble:
            print(self._here.trouble)
        leaving = False
        while True:
            try:
                line = input("> ").strip()
                leaving = False
                if line in {"/quit", "/exit"}:
                    return
                if line:
                    self._take(line)
            except EOFError:
                print()
                return
            except KeyboardInterrupt:
                if leaving:
                    print()
                    return
                leaving = True
                print("\n(stopped; Ctrl-C again leaves)")

    def _take(self, line: str) -> None:
        try:
            if line.startswith("/"):
                self._command(line)
            else:
                self._answer(line)
        except KinflowError as error:
            print(f"{error.cause_text} {error.advice_text} ({error.code})")

    def _answer(self, line: str) -> None:
        for said in self._here.stream(line, self._policy):
            if isinstance(said, Piece):
                sys.stdout.write(printable(said.text))
                sys.stdout.flush()
            elif isinstance(said, Reply):
                print()
                self._last = _Last(line, said)
                self._keep(line, said)

    def _keep(self, question: str, reply: Reply) -> None:
        if not self._keeps:
            return
        body = {"question": question, "answer": reply.answer, "tool": reply.tool, "tier": reply.tier}
        diary = self._here.desk.diary
        try:
            diary.add("turn", "", self._here.clock.wall_ms(), body)
            old = diary.entries("turn", "")[:-KEPT_TURNS]
            diary.delete("turn", "", [one.id for one in old])
        except KinflowError as error:
            self._keeps = False
            print(f"What is said is not kept: {error.cause_text} ({error.code})")

    def _command(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        if name == "/better" and self._last is not None and rest.strip():
            last, now_ms = self._last, self._here.clock.wall_ms()
            corrections = self._here.desk.corrections()
            kept = corrections.add(last.question, last.reply.answer, rest, last.reply.tool, now_ms)
            print(f"Kept as correction {kept.id}; `kinflow assistant corrections` lists them.")
        elif name == "/why" and self._last is not None:
            print(in_words(self._last.reply))
        elif name == "/history":
            for one in self._here.desk.diary.entries("turn", "")[-20:]:
                print(f"  {printable(one.body['question'])}\n    {printable(one.body['answer'])}")
        elif name == "/clear":
            print(f"Forgotten: {self._here.desk.diary.clear('turn', '')}.")
        else:
            print(_HELP)
