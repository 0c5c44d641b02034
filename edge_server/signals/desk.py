"""What people can do about the signals, as the door for people is given it."""

from __future__ import annotations

from dataclasses import dataclass

from edge_server.signals.modes.book import ModeBook
from edge_server.signals.service import SignalService
from edge_server.signals.shadow.book import ShadowBook


@dataclass(frozen=True)
class SignalDesk:
    modes: ModeBook
    service: SignalService
    shadow: ShadowBook
