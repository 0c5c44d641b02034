"""The port of understanding: what a question asks for, told in tools."""

from __future__ import annotations

from typing import Annotated, Protocol

from msgspec import Meta, Struct

from models.assistant.tools import Tool, Value


class Entities(Struct, frozen=True, kw_only=True):
    """A site's own names, as its site file and its fleet have them. Another site has others: none are known before."""

    intersections: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    approaches: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


class Choice(Struct, frozen=True, kw_only=True):
    """tool: the likeliest one. arguments: what could be found of them (models/assistant/tools.py); a required one may
    be lacking, and confidence is then low. confidence: how often such a choice is right, tool and arguments together.
    sure: whether it may be acted upon; where not, a higher tier is asked, or the answer is "I don't know"."""

    tool: Tool
    arguments: dict[str, Value]
    confidence: Annotated[float, Meta(ge=0, le=1)]
    sure: bool


class Understanding(Protocol):
    """Belongs to the thread that uses it, as engines do."""

    def choose(self, question: str, entities: Entities) -> Choice:
        """Raises ContextTooLong (KF394) for a question that does not fit."""
        ...

    def close(self) -> None: ...
