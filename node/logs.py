"""Logging for every process: human lines on a terminal, JSON lines elsewhere, and never a secret.

What third parties log through the standard library (uvicorn, amqtt) takes the same way. Warnings are kept in
`$KINFLOW_HOME/log/` as well, in a file that can't grow beyond a megabyte twice: an SD card must live.
"""

from __future__ import annotations

import logging
import logging.handlers
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, TextIO

import structlog

from node.printable import printable
from node.redaction import STRUCK_OUT, is_secret_key, redact, redact_text

LOG_FOLDER = "log"
KEPT_BYTES = 1_000_000
_OF_SEVERAL_LINES = {"exception", "stack"}

EventDict = MutableMapping[str, Any]


def configure_logs(
    process: str,
    home: Path | None = None,
    level: str = "info",
    stream: TextIO | None = None,
    as_json: bool | None = None,
) -> None:
    """Send every log line of this process to `stream` (standard error), and warnings to `home`/log/`process`.jsonl too.

    Call once, at the start; a second call replaces the first. as_json: None means JSON unless `stream` is a terminal.
    """
    stream = stream or sys.stderr
    if as_json is None:
        as_json = not stream.isatty()
    seen = logging.StreamHandler(stream)
    seen.setFormatter(_formatter(as_json, process, colors=stream.isatty()))
    handlers: list[logging.Handler] = [seen]
    if home is not None:
        handlers.append(_kept(home / LOG_FOLDER / f"{process}.jsonl", process))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def redact_event(_logger: object, _method: str, event: EventDict) -> EventDict:
    """The processor that strikes secrets out; it runs last before a line is written, so that tracebacks pass it too."""
    clean: EventDict = {}
    for key, value in event.items():
        clean[key] = STRUCK_OUT if is_secret_key(key) and isinstance(value, (str, bytes)) and value else redact(value)
    return clean


def steer_no_terminal(_logger: object, _method: str, event: EventDict) -> EventDict:
    """For lines that are no JSON: what a device or a stranger wrote forges no line, and steers no terminal."""
    return {
        key: value if key in _OF_SEVERAL_LINES or not isinstance(value, str) else printable(value)
        for key, value in event.items()
    }


def _shared() -> list[structlog.typing.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]


def _formatter(as_json: bool, process: str, colors: bool = False) -> logging.Formatter:
    def name_process(_logger: object, _method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(default=str)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
    )
    return _RedactingFormatter(
        foreign_pre_chain=_shared(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            name_process,
            redact_event,
            *([] if as_json else [steer_no_terminal]),
            renderer,
        ],
    )


class _RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """Looks at the finished line once more when it is no JSON: a secret may be split over two values."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return line if line.startswith("{") else redact_text(line)


class _KeptFile(logging.handlers.RotatingFileHandler):
    """Standard error has each line already: a full disk costs the copy, and no traceback for every line of it."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


def _kept(path: Path, process: str) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler: logging.Handler = _KeptFile(path, maxBytes=KEPT_BYTES, backupCount=1, encoding="utf-8", delay=True)
    except OSError:
        # A full or read-only disk must not keep a process from starting; standard error still tells.
        return logging.NullHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(_formatter(True, process))
    return handler
