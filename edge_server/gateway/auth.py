"""Who may come in: one token for each edge server, as a Bearer header or as a cookie that scripts can't read."""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

from edge_server.errors import TokenFileUnusable

TOKEN_FILE = "edge-token"  # noqa: S105 (the name of a file)
COOKIE = "kinflow_edge"
_SHORTEST = 32


def token_path(home: Path) -> Path:
    return home / TOKEN_FILE


def load_or_make_token(home: Path) -> str:
    """The token of the edge server whose state lies in `home`; made on first use, readable by its owner alone.

    Raises TokenFileUnusable (KF94) when others may read it, or when it is too short to be one of ours.
    """
    path = token_path(home)
    home.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        token = secrets.token_urlsafe(32)
        file.write(token + "\n")
    return token


def _read(path: Path) -> str:
    try:
        others = path.stat().st_mode & 0o077
        token = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise TokenFileUnusable(path=str(path), detail=type(error).__name__) from error
    if others:
        raise TokenFileUnusable(path=str(path), detail="others than its owner may read it")
    if len(token) < _SHORTEST:
        raise TokenFileUnusable(path=str(path), detail="it is empty or cut short")
    return token


def same(given: str, token: str) -> bool:
    """Compare in a time that does not tell how much of `given` is right."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())


def bearer(header: str | None) -> str | None:
    """The token in an Authorization header, None when there is none of the Bearer kind."""
    scheme, _, given = (header or "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else None


def cookie(headers: Iterable[str]) -> str | None:
    """The token in Cookie headers, None when there is none."""
    for header in headers:
        for part in header.split(";"):
            name, _, value = part.strip().partition("=")
            if name == COOKIE:
                return value
    return None


def set_cookie(token: str, secure: bool) -> str:
    """The Set-Cookie header that lets a page in. It lasts for 30 days, so that a wall screen survives a restart."""
    return f"{COOKIE}={token}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict" + ("; Secure" if secure else "")


def is_loopback(address: str | None) -> bool:
    try:
        return ip_address((address or "").partition("%")[0]).is_loopback
    except ValueError:
        return False
