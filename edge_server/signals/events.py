"""What steering adds to the edge server's bus."""

from __future__ import annotations

from edge_server.events import Event
from protocol.messages import SignalCommand


class SignalCommanded(Event, frozen=True, kw_only=True, tag=True):
    """A command was handed to the link; whether it is obeyed is in the heartbeats."""

    command: SignalCommand
    sent_ms: int
