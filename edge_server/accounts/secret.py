"""Secrets that a machine makes and keeps: 256 random bits, of which only a digest is stored.

A plain SHA-256 is enough here: nobody can guess 256 bits, so there is nothing to slow down.
"""

from __future__ import annotations

import secrets
from hashlib import sha256


def new_secret(prefix: str = "") -> str:
    return prefix + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
