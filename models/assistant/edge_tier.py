"""The edge server as the tier above: the whole question goes there over HTTP; its reply comes back with a receipt."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from models.assistant.reply import Fault, Policy, Reply, Said
from models.errors import TierUnreachable
from node.config.load import is_loopback
from node.config.schema import Settings
from node.errors import CredentialsUnusable
from node.trust.credentials import load as load_credentials
from node.trust.tls import PinnedContext

ASK = "/api/v1/assistant/ask"
EDGE_TOKEN = "edge-token"  # noqa: S105 (the name of a file)
TIMEOUT_S = 20.0
_LINE_LIMIT = 64 * 1024
_LINES = 1_000


@dataclass(frozen=True)
class EdgeTier:
    """url: of the edge server. context: for https; None for the certificates that this machine believes."""

    url: str
    token: str
    context: ssl.SSLContext | None = None
    timeout_s: float = TIMEOUT_S
    tier: Literal["edge"] = "edge"

    def ask(self, question: str, policy: Policy, conversation: str = "") -> Reply:
        """Raises TierUnreachable (KF493)."""
        said: dict[str, object] = {
            "question": question,
            "conversation": conversation,
            "max_tier": policy.max_tier,
            "share_notes": policy.share_notes,
        }
        if policy.too_long != "refuse":
            said["too_long"] = policy.too_long
        body = json.dumps(said, ensure_ascii=False).encode("utf-8")
        try:
            with self._connected() as connection:
                headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
                connection.request("POST", ASK, body, headers)
                answer = connection.getresponse()
                if answer.status != 200:
                    raise TierUnreachable(tier="edge", detail=_refusal(answer.status, answer.read(_LINE_LIMIT)))
                reply = _reply(answer)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise TierUnreachable(tier="edge", detail=str(error)[:200] or type(error).__name__) from error
        return replace(reply, bytes_sent=reply.bytes_sent + len(body))

    @contextmanager
    def _connected(self) -> Iterator[http.client.HTTPConnection]:
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port or 8800
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = self.context or ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, port, timeout=self.timeout_s, context=context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self.timeout_s)
        try:
            yield connection
        finally:
            connection.close()


def edge_of(home: Path, settings: Settings) -> EdgeTier | None:
    """The one that was set, else that of this very state folder; None for none. Raises TierUnreachable (KF493) for a
    token that can't be read."""
    given = settings.assistant
    if given.edge:
        if not given.token_file:
            raise TierUnreachable(tier="edge", detail="assistant.edge is set, and no assistant.token_file")
        if given.edge.startswith("http:") and not is_loopback(urlsplit(given.edge).hostname or ""):
            raise TierUnreachable(tier="edge", detail="to another machine assistant.edge needs https")
        return EdgeTier(given.edge, _token(Path(given.token_file)), _pinned(home))
    own = home / EDGE_TOKEN
    if own.exists():
        return EdgeTier(f"http://127.0.0.1:{settings.edge.port}", _token(own))
    return None


def _token(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise TierUnreachable(tier="edge", detail=f"the token in {path} can't be read") from error


def _pinned(home: Path) -> ssl.SSLContext | None:
    """A joined device believes the root of its site, and no other."""
    try:
        credentials = load_credentials(home)
    except CredentialsUnusable:
        return None
    return None if credentials is None else PinnedContext(credentials.ca, credentials.time.now_ms)


def _reply(answer: http.client.HTTPResponse) -> Reply:
    """The last of the lines that come. ValueError where the answer breaks off before it."""
    for _ in range(_LINES):
        line = answer.readline(_LINE_LIMIT)
        if not line:
            break
        said = msgspec.json.decode(line, type=Said | Fault)
        if isinstance(said, Fault):
            raise TierUnreachable(tier="edge", detail=f"{said.code}: {said.cause}")
        if isinstance(said, Reply):
            return said
    raise ValueError("its answer broke off")


def _refusal(status: int, body: bytes) -> str:
    try:
        error = json.loads(body)["error"]
        return f"{error['code']}: {error['cause']}"[:200]
    except (ValueError, KeyError, TypeError):
        return f"it answered {status}"
