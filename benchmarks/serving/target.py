"""A server to be measured: what it calls its model, how it counts tokens, and how fast it is alone."""

from __future__ import annotations

import asyncio
import secrets
import statistics
from dataclasses import dataclass
from typing import Any

import msgspec

from benchmarks.errors import ServerUnmeasured
from benchmarks.serving.answer import PATHS, Answer, Api, Asking, body_of
from benchmarks.serving.figures import Slo
from benchmarks.serving.prompts import Words, learn
from benchmarks.serving.traces.trace import Row
from benchmarks.serving.wire import Server, asked

SLO_FACTOR = 5.0
ALONE_RUNS, ALONE_TOKENS = 3, 16


@dataclass(frozen=True)
class Target:
    """words: of which prompts are made for it. mark: of this run: prompts of an earlier one may still be in a server's
    cache, and are not said again."""

    server: Server
    api: Api
    model: str
    words: Words
    mark: str = ""

    @classmethod
    async def known(cls, server: Server, api: Api = "chat", model: str = "") -> Target:
        """Asks some dozens of short questions, which also has the weights loaded. Raises ServerUnmeasured (KF464)."""
        found = model or await _model(server)

        async def count(text: str) -> int:
            body = body_of(api, found, text, 1, to_the_end=False) | {"stream": False}
            del body["stream_options"]
            status, answer = await asked(server, "POST", PATHS[api], body)
            usage = answer.get("usage") if isinstance(answer, dict) else None
            tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
            if status != 200 or not isinstance(tokens, int):
                detail = f"it answered a short question with {status} {str(answer)[:200]}"
                raise ServerUnmeasured(url=server.url, detail=detail)
            return tokens

        return cls(server, api, found, await learn(count), secrets.token_hex(4))

    def request(self, row: Row, seed: object, block_tokens: int = 0) -> bytes:
        """seed: of what no block of the prompt says."""
        own = f"{self.mark}/{seed}"
        if row.blocks and block_tokens:
            text = self.words.of_blocks(row.input_tokens, row.blocks, block_tokens, self.mark, own)
        else:
            text = self.words.text(row.input_tokens, own)
        body = body_of(self.api, self.model, text, max(1, row.output_tokens))
        return self.server.request("POST", PATHS[self.api], msgspec.json.encode(body))

    async def one(self, row: Row, seed: object, patience_s: float) -> Answer:
        """Asked now, alone."""
        asking = Asking(asyncio.get_running_loop().time(), row.input_tokens, row.output_tokens)
        return await asking.of(self.server, self.request(row, seed), patience_s)

    async def slo(self, prompt_tokens: int, patience_s: float, factor: float = SLO_FACTOR) -> Slo:
        """`factor` times what it takes alone: until the first token of such a prompt, and from one token to the next.
        Raises ServerUnmeasured (KF464)."""
        row = Row(0.0, prompt_tokens, ALONE_TOKENS)
        found = [await self.one(row, f"alone-{number}", patience_s) for number in range(ALONE_RUNS)]
        firsts = [one.ttft_s for one in found if one.ttft_s is not None]
        gaps = [gap for one in found for gap in one.gaps_s]
        if not firsts or not gaps:
            failure = next((one.failure for one in found if one.failure), "one token and no more")
            detail = f"alone, a prompt of {prompt_tokens} tokens gave: {failure}"
            raise ServerUnmeasured(url=self.server.url, detail=detail)
        return Slo(
            ttft_s=round(factor * statistics.median(firsts), 4),
            tbt_ms=round(factor * statistics.median(gaps) * 1e3, 3),
            how=f"{factor:g} times alone, a prompt of {prompt_tokens} tokens",
        )


async def _model(server: Server) -> str:
    status, answer = await asked(server, "GET", "/models")
    rows: Any = answer.get("data") if isinstance(answer, dict) else None
    if status != 200 or not isinstance(rows, list) or not rows or not isinstance(rows[0], dict):
        detail = f"it does not list its models, but answers {status} {str(answer)[:200]}"
        raise ServerUnmeasured(url=server.url, detail=detail)
    return str(rows[0].get("id", ""))
