"""Find and open what understands questions on this machine."""

from __future__ import annotations

from pathlib import Path

from models.assistant.understanding.choice import Understanding
from models.errors import AssistantUntrained


def open_understanding(home: Path) -> Understanding:
    """The device member of the family that Kinflow ships. Raises AssistantUntrained (KF486) where it is not there."""
    del home
    raise AssistantUntrained(detail="this version comes without the assistant's weights")
