"""Who may ask `/v1` where no accounts are kept: whoever brings the server's own token, or a key."""

from __future__ import annotations

import asyncio
import hmac

from starlette.types import Scope

from models.serving.keys import PREFIX, KeyFile

# A member's own routes for other tiers: no key opens them.
TIERS = "/v1/tiers/"


def secret_of(scope: Scope) -> str:
    """What a request brings: `Authorization: Bearer ...`, or `x-api-key: ...`, as Anthropic's clients send it."""
    headers: dict[bytes, str] = {name: value.decode("latin-1") for name, value in reversed(scope["headers"])}
    scheme, _, given = headers.get(b"authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else headers.get(b"x-api-key", "")


async def tenant_of(scope: Scope, token: str, keys: KeyFile | None) -> str | None:
    """Of whom the request is: "" for the server's own token, None for nobody. Raises KeysUnusable (KF510)."""
    secret = secret_of(scope)
    if hmac.compare_digest(secret.encode("utf-8", "surrogateescape"), token.encode()):
        return ""
    if keys is None or not secret.startswith(PREFIX) or scope["path"].startswith(TIERS):
        return None
    # It lies in a file.
    return await asyncio.to_thread(keys.tenant_of, secret)


def admit(scope: Scope, tenant: str) -> None:
    """For the routes behind."""
    scope.setdefault("state", {})["tenant"] = tenant
