"""How long somebody must wait before the next try to sign in. Pure: times are given, nothing is read or kept.

Three counts of failures: of one account from one address, of one address, and of one account from everywhere. The last
one slows down a guesser with many addresses, and could be used to keep a person out; so it never makes anybody wait
longer than SHORT_MS, and it does not hold where that person has signed in before, nor on the machine itself.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

PAIR_FREE, ADDRESS_FREE, ACCOUNT_FREE = 5, 20, 20
FIRST_MS = 2_000
LONG_MS = 15 * 60_000
SHORT_MS = 30_000
FORGET_MS = 60 * 60_000
KEPT = 10_000

_Key = tuple[str, str, str]


@dataclass(frozen=True)
class Count:
    """failures in a row, the last at at_ms. A count is forgotten after FORGET_MS without another one."""

    failures: int = 0
    at_ms: int = 0

    def failed(self, now_ms: int) -> Count:
        past = 0 if now_ms - self.at_ms > FORGET_MS else self.failures
        return Count(past + 1, now_ms)

    def wait_ms(self, now_ms: int, free: int, longest_ms: int) -> int:
        """After `free` failures each further one doubles the wait."""
        over = self.failures - free
        if over < 0 or now_ms - self.at_ms > FORGET_MS:
            return 0
        pause_ms = min(longest_ms, FIRST_MS << min(over, 20))
        return max(0, self.at_ms + pause_ms - now_ms)


class Throttle:
    """Not thread-safe; times are of a monotonic clock. At most KEPT counts are held, the oldest is forgotten first."""

    def __init__(self) -> None:
        self._counts: OrderedDict[_Key, Count] = OrderedDict()

    def wait_ms(self, account: str, address: str, now_ms: int, trusted: bool) -> int:
        """0 when a try may be made. trusted: this account has signed in from this address before, or from here."""
        place = network(address)
        waits = [
            self._get(_pair(account, place)).wait_ms(now_ms, PAIR_FREE, LONG_MS),
            self._get(_place(place)).wait_ms(now_ms, ADDRESS_FREE, SHORT_MS if trusted else LONG_MS),
        ]
        if not trusted:
            waits.append(self._get(_account(account)).wait_ms(now_ms, ACCOUNT_FREE, SHORT_MS))
        return max(waits)

    def failed(self, account: str, address: str, now_ms: int) -> None:
        place = network(address)
        for key in (_pair(account, place), _place(place), _account(account)):
            self._counts[key] = self._get(key).failed(now_ms)
            self._counts.move_to_end(key)
        while len(self._counts) > KEPT:
            self._counts.popitem(last=False)

    def succeeded(self, account: str, address: str) -> None:
        """The failures of this account from this address are forgiven, and as many of the address's own."""
        place = network(address)
        own = self._counts.pop(_pair(account, place), Count())
        shared = self._counts.get(_place(place))
        if shared is not None:
            self._counts[_place(place)] = replace(shared, failures=max(0, shared.failures - own.failures))

    def _get(self, key: _Key) -> Count:
        return self._counts.get(key, Count())


def _pair(account: str, place: str) -> _Key:
    return "pair", account, place


def _place(place: str) -> _Key:
    return "place", "", place


def _account(account: str) -> _Key:
    return "account", account, ""


def network(address: str) -> str:
    """What counts as one place: an IPv4 address, or the /64 of an IPv6 one, which is what one house has."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if parsed.version == 6 and not parsed.ipv4_mapped:
        return str(ip_network((parsed, 64), strict=False))
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
