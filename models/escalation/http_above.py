"""The tier above over HTTP: frames by POST on one connection that stays open, a whole question as a stream."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from msgspec import Struct

from models.assistant.reply import Tier
from models.engine.sampling import Sampling
from models.errors import TierUnreachable
from models.escalation.port import Question, Told
from protocol.errors import KinflowError
from protocol.tiers import LIMIT_BYTES, Closing, Opened, Opening, Round, Verdict, decode, encode

FRAMES = "application/msgpack"
_LINE_LIMIT = 256 * 1024
F = TypeVar("F", bound=Struct)


@dataclass
class _Counted:
    sent: int = 0
    received: int = 0


class HttpAbove:
    """url: of the server. model: what an external server calls its model; "" for a member of our family, which is asked
    in tokens. context: for https; None for the certificates that this machine believes. headers: more of them, for
    whole questions."""

    def __init__(
        self,
        url: str,
        token: str,
        tier: Tier,
        *,
        context: ssl.SSLContext | None = None,
        model: str = "",
        timeout_s: float = 30.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.timeout_s = timeout_s
        self._tier, self._model, self._more = tier, model, dict(headers or {})
        self._parts = urlsplit(url)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._context = context
        self._counted = _Counted()
        self._connection: http.client.HTTPConnection | None = None

    @property
    def tier(self) -> Tier:
        return self._tier

    @property
    def same_family(self) -> bool:
        return not self._model

    @property
    def bytes_sent(self) -> int:
        return self._counted.sent

    @property
    def bytes_received(self) -> int:
        return self._counted.received

    def open(self, opening: Opening) -> Opened:
        return self._framed("/v1/tiers/open", opening, Opened)

    def round(self, one: Round) -> Verdict:
        return self._framed("/v1/tiers/round", one, Verdict)

    def end(self, session: str) -> None:
        with suppress(TierUnreachable):
            self._post("/v1/tiers/close", encode(Closing(session=session)))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(self, question: Question, sampling: Sampling) -> Iterator[Told]:
        path, body = self._asked(question, sampling)
        connection = self._connected()
        try:
            headers = {**self._headers, **self._more, "Content-Type": "application/json"}
            connection.request("POST", path, json.dumps(body, ensure_ascii=False).encode("utf-8"), headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise self._refused(answer.status, answer.read(_LINE_LIMIT))
            yield from self._streamed(answer)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._away(error) from error
        finally:
            # Closing it tells the tier above that nobody listens any more.
            connection.close()

    def _asked(self, question: Question, sampling: Sampling) -> tuple[str, dict[str, Any]]:
        body: dict[str, Any] = {
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
        }
        body |= {} if sampling.seed is None else {"seed": sampling.seed}
        body |= {"stop": list(sampling.stop)} if sampling.stop else {}
        prefix = self._parts.path.rstrip("/") or "/v1"
        if self._model:
            body |= {"model": self._model}
            if isinstance(question.text, str):
                return f"{prefix}/completions", {**body, "prompt": question.text}
            return f"{prefix}/chat/completions", {**body, "messages": list(question.text)}
        body |= {"top_k": sampling.top_k, "min_p": sampling.min_p, "prompt": list(question.tokens)}
        never = {str(token): max(-100.0, value) for token, value in sampling.bias.items()}
        body |= {"logit_bias": never} if never else {}
        body |= {} if sampling.schema is None else {"json_schema": dict(sampling.schema)}
        return f"{prefix}/completions", body

    def _streamed(self, answer: http.client.HTTPResponse) -> Iterator[Told]:
        ended = ""
        while line := answer.readline(_LINE_LIMIT):
            self._counted.received += len(line)
            text = line.strip()
            if not text.startswith(b"data:"):
                continue
            data = text.removeprefix(b"data:").strip()
            if data == b"[DONE]":
                return
            said = json.loads(data)
            if "error" in said:
                raise self._refused(200, data)
            for choice in said.get("choices") or ():
                piece = choice.get("text") or (choice.get("delta") or {}).get("content") or ""
                ended = choice.get("finish_reason") or ""
                if piece or ended:
                    yield Told(piece, ended)
            if used := said.get("usage"):
                receipt = used.get("kinflow") or {}
                yield Told(
                    "", "", int(used["completion_tokens"]), int(used["prompt_tokens"]), receipt.get("tier", ""), receipt
                )
        raise ValueError("its answer broke off")

    def _framed(self, path: str, frame: Struct, kind: type[F]) -> F:
        body = self._post(path, encode(frame))
        try:
            return decode(kind, body)
        except KinflowError as error:
            raise self._away(error) from error

    def _post(self, path: str, body: bytes) -> bytes:
        """Over the connection that is open; once more over a new one where that had ended meanwhile. A round has a
        number, and is computed once however often it comes."""
        for last in (False, True):
            fresh = self._connection is None
            connection = self._connection = self._connection or self._connected()
            if connection.sock is not None:
                connection.sock.settimeout(self.timeout_s)
            connection.timeout = self.timeout_s
            try:
                connection.request("POST", path, body, {**self._headers, "Content-Type": FRAMES})
                answer = connection.getresponse()
                data = answer.read(LIMIT_BYTES + 1)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if last or fresh or isinstance(error, TimeoutError):
                    raise self._away(error) from error
                continue
            self._counted.received += len(data) + len(str(answer.headers))
            if answer.status not in (200, 204):
                raise self._refused(answer.status, data)
            return data
        raise AssertionError("unreachable")

    def _connected(self) -> http.client.HTTPConnection:
        host = self._parts.hostname or ""
        if self._parts.scheme == "https":
            context = self._context or ssl.create_default_context()
            return _Secure(host, self._parts.port or 443, self.timeout_s, context, self._counted)
        return _Plain(host, self._parts.port or 80, self.timeout_s, self._counted)

    def _away(self, error: BaseException) -> TierUnreachable:
        said = "it took too long" if isinstance(error, TimeoutError) else str(error)[:200] or type(error).__name__
        return TierUnreachable(tier=self._tier, detail=said.rstrip("."))

    def _refused(self, status: int, body: bytes) -> TierUnreachable:
        try:
            error = json.loads(body)["error"]
            code = error.get("kinflow_code") or error.get("code") or status
            detail = f"{code}: {error.get('cause') or error.get('message')}"[:300]
        except (ValueError, KeyError, TypeError, AttributeError):
            detail = f"it answered {status}"
        return TierUnreachable(tier=self._tier, detail=detail.rstrip("."))


class _Together:
    """A request's head and body leave in one piece: two small ones may wait for each other's acknowledgement, forty
    milliseconds each time. Counts what is sent, before it is encrypted."""

    counted: _Counted
    _head = b""

    def gathered(self, data: Any) -> bytes:
        """What leaves now: nothing of a head whose body is still to come."""
        whole = self._head + bytes(data)
        self._head = b""
        if whole.endswith(b"\r\n\r\n") and whole.startswith(b"POST "):
            self._head = whole
            return b""
        self.counted.sent += len(whole)
        return whole


class _Plain(_Together, http.client.HTTPConnection):
    def __init__(self, host: str, port: int, timeout_s: float, counted: _Counted) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self.counted = counted

    def send(self, data: Any) -> None:
        if whole := self.gathered(data):
            super().send(whole)


class _Secure(_Together, http.client.HTTPSConnection):
    def __init__(self, host: str, port: int, timeout_s: float, context: ssl.SSLContext, counted: _Counted) -> None:
        super().__init__(host, port, timeout=timeout_s, context=context)
        self.counted = counted

    def send(self, data: Any) -> None:
        if whole := self.gathered(data):
            super().send(whole)
