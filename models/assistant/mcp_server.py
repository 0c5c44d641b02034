"""`kinflow mcp`: MCP over standard input and output, a message a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO

from models.assistant.diary import Diary
from models.assistant.here import passphrase_of
from models.assistant.mcp_protocol import INVALID_REQUEST, PARSE_ERROR, McpServer, failure
from models.assistant.mcp_tools import McpTools
from models.assistant.notes import Notes
from models.assistant.own_facts import facts_here
from models.assistant.skills import Skills
from node.clock import SystemClock
from node.config.load import load
from node.update.health import running_version

LINE_LIMIT = 1 << 20


def serve(home: Path, source: BinaryIO, sink: BinaryIO) -> None:
    """Until the other side closes its end. Nothing but messages goes to `sink`; no weights are needed, no socket is
    opened."""
    settings, clock = load(home).settings, SystemClock()
    # Standard input is the protocol's: nobody can be asked there for a passphrase.
    passphrase = passphrase_of(settings, home) if settings.assistant.key_file else lambda: None
    diary = Diary(home, passphrase)
    skills = Skills(facts_here(home), Notes(diary), clock.wall_ms)
    server = McpServer(McpTools(skills), running_version())
    while line := source.readline(LINE_LIMIT):
        if not line.strip():
            continue
        if not line.endswith(b"\n") and len(line) == LINE_LIMIT:
            _skip(source)
            answer: dict[str, Any] | None = failure(None, INVALID_REQUEST, f"A message has at most {LINE_LIMIT} bytes.")
        else:
            answer = _answer(server, line)
        if answer is not None:
            sink.write(json.dumps(answer, ensure_ascii=False).encode("utf-8") + b"\n")
            sink.flush()
    diary.close()


def _answer(server: McpServer, line: bytes) -> dict[str, Any] | None:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return failure(None, PARSE_ERROR, "This is no JSON.")
    return server.answer(message)


def _skip(source: BinaryIO) -> None:
    """The rest of a line that is too long."""
    while (part := source.readline(LINE_LIMIT)) and not part.endswith(b"\n"):
        pass
