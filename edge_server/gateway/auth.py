"""What a request brings to be let in: the machine's own key, a Bearer header, a cookie that scripts can't read."""

from __future__ import annotations

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


def bearer(header: str | None) -> str | None:
    """The token in an Authorization header, None when there is none of the Bearer kind."""
    scheme, _, given = (header or "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else None


def cookie_name(secure: bool) -> str:
    """Under https the name itself makes browsers refuse the cookie from anybody but this very host over https."""
    return f"__Host-{COOKIE}" if secure else COOKIE


def cookie(headers: Iterable[str], secure: bool = False) -> str | None:
    """The session in Cookie headers, None when there is none."""
    wanted = cookie_name(secure)
    for header in headers:
        for part in header.split(";"):
            name, _, value = part.strip().partition("=")
            if name == wanted:
                return value
    return None


def set_cookie(session: str, secure: bool) -> str:
    """The Set-Cookie header that lets a page in. The server ends a session before the 30 days are over."""
    return f"{cookie_name(secure)}={session}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict" + _secure(secure)


def clear_cookie(secure: bool) -> str:
    return f"{cookie_name(secure)}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict" + _secure(secure)


def _secure(secure: bool) -> str:
    return "; Secure" if secure else ""


def is_loopback(address: str | None) -> bool:
    try:
        return ip_address((address or "").partition("%")[0]).is_loopback
    except ValueError:
        return False
