"""Put the assistant of a running agent together: its own facts, and the edge server where one was set up."""

from __future__ import annotations

import logging
from pathlib import Path

from agent.page.assistant import Parts
from agent.service import AgentService
from models.assistant.desk import Desk
from models.assistant.edge_tier import edge_of
from models.assistant.here import read_key
from models.assistant.own_facts import OwnFacts, OwnSettings
from models.errors import TierUnreachable
from node.clock import SystemClock
from node.config.load import load

log = logging.getLogger(__name__)


def open_assistant(home: Path, service: AgentService) -> Parts:
    """Settings are those of the moment that somebody first asks."""
    settings, clock = load(home).settings, SystemClock()
    try:
        higher = edge_of(home, settings)
    except TierUnreachable as error:
        log.warning("%s", error)
        higher = None
    key_file = settings.assistant.key_file
    desk = Desk(
        home,
        clock,
        higher=higher,
        passphrase=(lambda: read_key(Path(key_file), home)) if key_file else (lambda: None),
    )
    facts = OwnFacts(service.world.world, service.history, OwnSettings(home))
    return Parts(desk, facts, ("device",) if higher is None else ("device", "edge"), clock.wall_ms)
