"""One streamed answer: when it was meant to be asked for, when each piece of it came, and how it ended."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any, Literal

import msgspec
from msgspec import Struct

from benchmarks.serving.wire import BadHttp, Reply, Server, exchange

Api = Literal["chat", "completions"]
PATHS: dict[Api, str] = {"chat": "/chat/completions", "completions": "/completions"}


class Answer(Struct, frozen=True):
    """All moments in seconds of one clock. intended_s: when the trace wanted it sent; first_s: of the first text;
    gaps_s: from each piece of text to the next. tokens, prompt_tokens: as the server counted, else the pieces and None.
    ended: OpenAI's finish_reason. failure: "" or its kind. left: whether we went away before its end."""

    intended_s: float
    sent_s: float
    ended_s: float
    wanted_prompt: int
    wanted_tokens: int
    first_s: float | None = None
    gaps_s: tuple[float, ...] = ()
    tokens: int = 0
    prompt_tokens: int | None = None
    ended: str = ""
    failure: str = ""
    left: bool = False

    @property
    def ttft_s(self) -> float | None:
        return None if self.first_s is None else self.first_s - self.intended_s

    @property
    def mean_gap_s(self) -> float:
        return sum(self.gaps_s) / len(self.gaps_s) if self.gaps_s else 0.0


class _Delta(Struct, frozen=True):
    content: str | None = None


class _Choice(Struct, frozen=True):
    delta: _Delta = _Delta()
    text: str | None = None
    finish_reason: str | None = None


class _Usage(Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Event(Struct, frozen=True):
    choices: tuple[_Choice, ...] = ()
    usage: _Usage | None = None
    error: Any = None


_read = msgspec.json.Decoder(_Event).decode


class Asking:
    """What is known of an answer while it comes."""

    def __init__(self, intended_s: float, wanted_prompt: int, wanted_tokens: int) -> None:
        self._intended_s, self._prompt, self._tokens = intended_s, wanted_prompt, wanted_tokens
        self._moments: list[float] = []
        self._usage: _Usage | None = None
        self.ended, self._done = "", False
        self._sent_s = intended_s

    @property
    def pieces(self) -> int:
        return len(self._moments)

    async def of(self, server: Server, request: bytes, patience_s: float, leave_after: int | None = None) -> Answer:
        """leave_after: go away after so many pieces. Never raises: what went wrong is in the answer."""
        loop = asyncio.get_running_loop()
        self._sent_s, left, failure = loop.time(), False, ""
        try:
            async with asyncio.timeout(patience_s), exchange(server, request) as reply:
                if reply.status != 200:
                    failure = f"http {reply.status}"
                else:
                    left = await self._follow(reply, loop, leave_after)
        except TimeoutError:
            failure = "no end" if self._moments else "no answer"
        except (ConnectionRefusedError, ConnectionAbortedError):
            failure = "not connected"
        except (OSError, EOFError):
            failure = "cut"
        except (BadHttp, msgspec.DecodeError, UnicodeDecodeError, ValueError):
            failure = "malformed"
        except _Told:
            failure = "error in the stream"
        if not failure and not left and not (self._done and self.ended):
            failure = "cut"
        return self._made(loop.time(), failure, left)

    async def _follow(self, reply: Reply, loop: asyncio.AbstractEventLoop, leave_after: int | None) -> bool:
        async for line in reply.lines():
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data == b"[DONE]":
                self._done = True
                return False
            event = _read(data)
            if event.error is not None:
                raise _Told
            self._usage = event.usage or self._usage
            for choice in event.choices:
                self.ended = choice.finish_reason or self.ended
                if choice.text or choice.delta.content:
                    self._moments.append(loop.time())
            if leave_after is not None and len(self._moments) >= leave_after:
                return True
        return False

    def _made(self, now_s: float, failure: str, left: bool) -> Answer:
        moments = self._moments
        return Answer(
            self._intended_s,
            self._sent_s,
            now_s,
            self._prompt,
            self._tokens,
            moments[0] if moments else None,
            tuple(after - before for before, after in pairwise(moments)),
            self._usage.completion_tokens if self._usage else len(moments),
            self._usage.prompt_tokens if self._usage else None,
            self.ended,
            failure,
            left,
        )


class _Told(Exception):
    """The server told of an error within its stream."""


def body_of(api: Api, model: str, text: str, tokens: int, *, to_the_end: bool = True) -> dict[str, Any]:
    """to_the_end: ask for all the tokens, where a server knows how (`ignore_eos`)."""
    asked = {"messages": [{"role": "user", "content": text}]} if api == "chat" else {"prompt": text}
    wish = {"ignore_eos": True} if to_the_end else {}
    return {
        "model": model,
        **asked,
        **wish,
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
