"""The lower tier, put together from a family and settings: its member, and the server above it."""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import urlsplit

from models.assistant.reply import Tier
from models.errors import TierUnreachable
from models.escalation.answer import Here
from models.escalation.desk import Identity
from models.escalation.port import Above
from models.escalation.relay import Own
from models.serving.holding import Holding
from node.config.load import is_loopback
from node.config.schema import Serving
from node.errors import CredentialsUnusable
from node.trust.credentials import load as load_credentials
from node.trust.tls import PinnedContext

ABOVE: dict[Tier, Tier] = {"device": "edge", "edge": "cloud", "cloud": "cloud"}


def identity_of(holding: Holding) -> Identity:
    manifest = holding.manifest
    return Identity(
        family=manifest.name,
        version=manifest.version,
        tokenizer=manifest.tokenizer_sha256,
        source=manifest.source_sha256 or "",
        member=holding.member.name,
    )


def lower_of(holding: Holding, tier: Tier, *, sequences: int = 1) -> Here:
    """One context on the member, whose hidden states are read where another member goes on from them; its weights may
    be shared with others. Raises as `Holding.engine`."""
    member, manifest = holding.member, holding.manifest
    nested = member.exit is not None and any(one.after == member.exit - 1 for one in manifest.continuations)
    first_of_segments = manifest.realisation == "segments" and member == manifest.members[0]
    tap: int | None = None
    if nested and member.exit is not None:
        tap = member.exit - 1
    elif first_of_segments:
        tap = holding.blocks() - 1
    engine = holding.engine(sequences=sequences, tap=tap)
    identity, calibration = identity_of(holding), member.calibration
    own = Own(identity.family, identity.version, identity.tokenizer, identity.source, -1 if tap is None else tap)
    return Here(
        engine,
        tier,
        own,
        hands_over=tap is not None,
        drafts_for=engine.facts.gives_logits,
        temperature=calibration.temperature,
        threshold=calibration.threshold,
    )


def above_of(home: Path, settings: Serving, tier: Tier) -> Above | None:
    """The server that the settings name; None for none. Raises TierUnreachable (KF493) for a token or a certificate
    that can't be read, and for plain HTTP to another machine."""
    from models.escalation.http_above import HttpAbove  # noqa: PLC0415 (it brings HTTP; local answers need none)

    above = ABOVE[tier]
    if not settings.above:
        return None
    if settings.above.startswith("http:") and not is_loopback(urlsplit(settings.above).hostname or ""):
        raise TierUnreachable(tier=above, detail="to another machine serving.above needs https")
    token = _read(settings.above_token_file, above) if settings.above_token_file else ""
    context = _pinned(home)
    if settings.above_ca_file:
        try:
            context = ssl.create_default_context(cafile=settings.above_ca_file)
        except (OSError, ssl.SSLError) as error:
            raise TierUnreachable(
                tier=above, detail=f"the certificate in {settings.above_ca_file} can't be read"
            ) from error
    return HttpAbove(settings.above, token, above, context=context)


def external_above(holding: Holding, settings: Serving, tier: Tier) -> Above | None:
    """The family's member above this tier that lives on somebody else's server; None without one."""
    from models.escalation.http_above import HttpAbove  # noqa: PLC0415

    above = ABOVE[tier]
    found = next((one for one in holding.manifest.members if one.url and one.tier == above != tier), None)
    if found is None:
        return None
    token = _read(settings.above_token_file, above) if settings.above_token_file else ""
    return HttpAbove(found.url, token, above, model=found.model or found.name)


def _pinned(home: Path) -> ssl.SSLContext | None:
    """A joined device believes the root of its site, and no other."""
    try:
        credentials = load_credentials(home)
    except CredentialsUnusable:
        return None
    return None if credentials is None else PinnedContext(credentials.ca, credentials.time.now_ms)


def _read(path: str, tier: Tier) -> str:
    try:
        return Path(path).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise TierUnreachable(tier=tier, detail=f"the token in {path} can't be read") from error
