"""The server's end of TLS: the certificate that an authority's own server shows, renewed while it serves."""

from __future__ import annotations

import ssl
from collections.abc import Iterable

from node.trust.authority import Authority


class ServerCertificate:
    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._context: ssl.SSLContext | None = None

    def renew(self, names: Iterable[str], now_ms: int) -> bool:
        """See to one for these names; whether a new one was made, which HTTPS then shows at once."""
        made = self._authority.ensure_server(names, now_ms)
        if made and self._context is not None:
            self._load(self._context)
        return made

    def context(self) -> ssl.SSLContext:
        """For HTTPS. People's browsers show no certificate, and devices sign their requests."""
        if self._context is None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.minimum_version = ssl.TLSVersion.TLSv1_2
            self._load(self._context)
        return self._context

    def _load(self, context: ssl.SSLContext) -> None:
        context.load_cert_chain(self._authority.folder / "server.pem", self._authority.folder / "server.key")
