"""Put the assistant of a running agent together: its own facts, and the edge server where one was set up."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from agent.page.assistant import Parts
from agent.service import AgentService
from models.assistant.desk import Desk
from models.assistant.edge_tier import edge_of
from models.assistant.here import read_key
from models.assistant.looking import Looker
from models.assistant.own_facts import OwnFacts, OwnSettings
from models.errors import TierUnreachable
from node.clock import SystemClock
from node.config.load import load
from node.config.schema import Settings

if TYPE_CHECKING:
    from agent.camera.port import Image
    from models.serving.seeing import Sight

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
    facts = OwnFacts(service.world.world, service.history, OwnSettings(home), _looker(home, settings, service))
    return Parts(desk, facts, ("device",) if higher is None else ("device", "edge"), clock.wall_ms)


def _looker(home: Path, settings: Settings, service: AgentService) -> Looker | None:
    model, projector = settings.assistant.eyes_model, settings.assistant.eyes_projector
    if not model or not projector:
        return None

    def open_() -> Sight:
        from models.engine.trust import Trust  # noqa: PLC0415 (a device that nobody asks holds no engine)
        from models.serving.seeing import Sight as Opened  # noqa: PLC0415

        return Opened(Path(model), Path(projector), Trust(home / "models"))

    def picture(camera: str) -> Image | None:
        frame = next((one.frame for one in service.lookouts if one.settings.camera == camera), None)
        return None if frame is None else frame.image

    return Looker(Path(model).stem, open_, picture)
