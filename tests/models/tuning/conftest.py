"""What several tests of training begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.tuning.small import network, stripes


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a small network and pictures for it."""
    network(tmp_path / "net.onnx")
    stripes(tmp_path / "data")
    return tmp_path
