"""The highest epoch that a simulated controller has taken, kept across restarts in a small file."""

from __future__ import annotations

from edge_server.cabinet import epoch_file
from sim_devices.errors import EpochFileUnreadable


class EpochFile(epoch_file.EpochFile):
    """read() raises EpochFileUnreadable (KF100)."""

    unreadable = EpochFileUnreadable
