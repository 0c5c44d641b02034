"""When a certificate is to be renewed: about two thirds into its life, and not all of a site at once. Pure."""

from __future__ import annotations

GRACE_MS = 30 * 86_400_000


def renew_at_ms(expires_ms: int, life_ms: int, chance: float) -> int:
    """chance: a device's own, from 0 to 1. The time falls between 7/12 and 3/4 of the life, evenly by chance, so that
    devices that joined in one hour don't come back in one hour; a quarter of the life is left to try again in."""
    return expires_ms - life_ms // 3 + round((chance - 0.5) * life_ms / 6)


def is_due(expires_ms: int, life_ms: int, chance: float, now_ms: int) -> bool:
    """A certificate whose end is further away than its life was made by a clock ahead of ours: it is renewed too, once
    that is more than a life."""
    return now_ms >= renew_at_ms(expires_ms, life_ms, chance) or expires_ms - now_ms > 2 * life_ms


def may_renew(expires_ms: int, now_ms: int, grace_ms: int = GRACE_MS) -> bool:
    """Whether the authority still renews a certificate by itself: until `grace_ms` after its end."""
    return now_ms <= expires_ms + grace_ms
