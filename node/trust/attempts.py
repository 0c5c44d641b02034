"""How often somebody may try and fail: a few times a minute for each address, and not without end for all. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network

WINDOW_MS = 60_000
PER_ADDRESS = 10
FOR_ALL = 300
KEPT = 10_000


@dataclass
class Attempts:
    """Failures of the last minute. Not thread-safe; times are of one monotonic clock, in milliseconds."""

    per_address: int = PER_ADDRESS
    for_all: int = FOR_ALL
    _failed: dict[str, list[int]] = field(default_factory=dict)
    _all: list[int] = field(default_factory=list)

    def wait_ms(self, address: str, now_ms: int) -> int:
        """How long this address has to wait before it may try again; 0: it may try now."""
        mine = self._recent(self._failed.get(source(address), []), now_ms)
        self._all = self._recent(self._all, now_ms)
        waits = [0]
        if len(mine) >= self.per_address:
            waits.append(mine[-self.per_address] + WINDOW_MS - now_ms)
        if len(self._all) >= self.for_all:
            waits.append(self._all[-self.for_all] + WINDOW_MS - now_ms)
        return max(waits)

    def failed(self, address: str, now_ms: int) -> int:
        """Count a failure; how many this address has had within the minute."""
        origin = source(address)
        mine = [*self._recent(self._failed.pop(origin, []), now_ms), now_ms][-self.per_address :]
        self._failed[origin] = mine
        if len(self._failed) > KEPT:
            del self._failed[next(iter(self._failed))]
        self._all = [*self._recent(self._all, now_ms), now_ms][-self.for_all :]
        return len(mine)

    @staticmethod
    def _recent(times: list[int], now_ms: int) -> list[int]:
        return [at for at in times if now_ms - at < WINDOW_MS]


def source(address: str) -> str:
    """Who counts as one: an IPv4 address, or an IPv6 /64, since whoever has one address has the whole."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    # A socket for both kinds shows IPv4 so; they all lie in one /64.
    return str(parsed.ipv4_mapped or ip_network((parsed, 64), strict=False))
