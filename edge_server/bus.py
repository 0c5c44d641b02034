"""In-process publish and subscribe. A slow subscriber loses events and is told so; it never slows a publisher down."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable

import structlog

from edge_server.events import Event, Resync

LIMIT_EVENTS = 10_000

log = structlog.get_logger("edge.bus")


class Subscription:
    """One subscriber and its thread. Events of one publisher arrive in the order in which they were published."""

    def __init__(
        self, callback: Callable[[Event], None], kinds: tuple[type[Event], ...], limit: int, name: str
    ) -> None:
        self._callback = callback
        self._kinds = kinds
        self._limit = limit
        self._waiting: deque[Event] = deque()
        self._missed = 0
        self._ready = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"bus-{name}", daemon=True)
        self._thread.start()

    def offer(self, events: Iterable[Event]) -> None:
        with self._ready:
            was_empty = not self._waiting and not self._missed
            for event in events:
                if self._kinds and not isinstance(event, self._kinds):
                    continue
                if len(self._waiting) >= self._limit:
                    self._missed += len(self._waiting)
                    self._waiting.clear()
                self._waiting.append(event)
            if was_empty and self._waiting:
                self._ready.notify()

    def close(self) -> None:
        """No event is delivered after this returns, unless it is called from the callback itself."""
        with self._ready:
            self._closed = True
            self._ready.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        while True:
            with self._ready:
                while not self._waiting and not self._closed:
                    self._ready.wait()
                if self._closed:
                    return
                events, missed = list(self._waiting), self._missed
                self._waiting.clear()
                self._missed = 0
            if missed:
                events.insert(0, Resync(missed=missed))
            for event in events:
                if self._closed:
                    return
                try:
                    self._callback(event)
                except Exception:
                    log.exception("subscriber failed", subscriber=self._thread.name, event_kind=type(event).__name__)


class Bus:
    def __init__(self) -> None:
        self._subscriptions: tuple[Subscription, ...] = ()
        self._lock = threading.Lock()

    def subscribe(
        self,
        callback: Callable[[Event], None],
        *kinds: type[Event],
        limit: int = LIMIT_EVENTS,
        name: str = "subscriber",
    ) -> Subscription:
        """Call `callback` on a thread of its own for each event of `kinds` (all kinds when none is named).

        After an overflow a Resync comes first, whatever the kinds. An asyncio reader passes a callback that uses
        loop.call_soon_threadsafe.
        """
        subscription = Subscription(callback, kinds, limit, name)
        with self._lock:
            self._subscriptions = (*self._subscriptions, subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions = tuple(one for one in self._subscriptions if one is not subscription)
        subscription.close()

    def publish(self, *events: Event) -> None:
        for subscription in self._subscriptions:
            subscription.offer(events)

    def close(self) -> None:
        for subscription in self._subscriptions:
            subscription.close()
