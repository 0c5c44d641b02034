"""How often one object may be shown: its first change at once, the next ones at most every `every_ms`, latest wins."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Pace(Generic[T]):
    """Not thread-safe; times are milliseconds of one monotonic clock."""

    def __init__(self, every_ms: int = 100) -> None:
        self._every_ms = every_ms
        self._shown_at: dict[str, int] = {}
        self._waiting: dict[str, T] = {}

    def offer(self, key: str, value: T) -> None:
        self._waiting[key] = value

    def take(self, now_ms: int) -> list[T]:
        """What may be shown now, in the order in which it was first offered."""
        due = [key for key in self._waiting if now_ms - self._shown_at.get(key, -self._every_ms) >= self._every_ms]
        if len(self._shown_at) > 4 * len(due) + 1_000:
            self._shown_at = {key: at for key, at in self._shown_at.items() if now_ms - at < self._every_ms}
        for key in due:
            self._shown_at[key] = now_ms
        return [self._waiting.pop(key) for key in due]

    def next_ms(self, now_ms: int) -> int | None:
        """How long until something more may be shown; None when nothing waits."""
        if not self._waiting:
            return None
        return max(0, min(self._shown_at.get(key, -self._every_ms) + self._every_ms for key in self._waiting) - now_ms)
