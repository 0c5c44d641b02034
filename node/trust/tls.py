"""A device's end of TLS: one root is believed and no other, and what time it is comes from us, not from the clock.

OpenSSL verifies the chain, the signature and the purpose, and leaves the time to us (X509_V_FLAG_NO_CHECK_TIME), since
the clock of a board without a battery may say anything. Names are not compared: the root belongs to one site, it lets
only edge servers be servers, and their addresses change.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

from cryptography import x509

from node.trust.certificates import expires_ms

NO_CHECK_TIME = ssl.VerifyFlags(0x200000)
# How far our best-known time may be past the end of an edge server's certificate.
TOLERANCE_MS = 24 * 3600 * 1000


class CheckedSocket(ssl.SSLSocket):
    """Asks its context about the other side as soon as the handshake is done, before a byte is sent."""

    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        context = self.context
        if isinstance(context, PinnedContext):
            try:
                context.check_peer(self.getpeercert(binary_form=True))
            except ssl.SSLError:
                self.close()
                raise


class PinnedContext(ssl.SSLContext):
    """A client's context that believes `ca` alone. now_ms: the best-known time; None where time is the question."""

    sslsocket_class = CheckedSocket
    now_ms: Callable[[], int] | None

    def __new__(cls, *_: Any, **__: Any) -> PinnedContext:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, ca: str, now_ms: Callable[[], int] | None) -> None:
        self.minimum_version = ssl.TLSVersion.TLSv1_2
        self.check_hostname = False
        self.verify_mode = ssl.CERT_REQUIRED
        self.verify_flags |= NO_CHECK_TIME
        self.load_verify_locations(cadata=ca)
        self.now_ms = now_ms

    def check_peer(self, der: bytes | None) -> None:
        """Raises ssl.SSLCertVerificationError."""
        if der is None:
            raise ssl.SSLCertVerificationError(1, "the server showed no certificate")
        if self.now_ms is None:
            return
        late_ms = self.now_ms() - expires_ms(x509.load_der_x509_certificate(der))
        if late_ms > TOLERANCE_MS:
            raise ssl.SSLCertVerificationError(
                1,
                f"the server's certificate ended {late_ms // 3_600_000} hours ago, by the time that this device knows",
            )


def unverified_context() -> ssl.SSLContext:
    """For the one question that needs no trust: what an edge server says its root is. A pin judges the answer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
