from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from firmware_configs.board import board
from firmware_configs.order import Order
from node.trust.join_code import JoinCode, encode

# A code as an edge server makes it, of a root that is none.
CODE = encode(JoinCode(bytes(range(10)), bytes(range(7))))


@pytest.fixture
def order() -> Callable[..., Order]:
    """order(board, key=value...) is an order with every field that a test does not care for."""

    def make(name: str = "pi5", **fields: object) -> Order:
        base: dict[str, object] = {
            "board": board(name),
            "tier": "agent",
            "made_at_s": 1_795_000_000,
            "edge": "closet.lan",
            "join": CODE,
        }
        return Order(**(base | fields))  # type: ignore[arg-type]

    return make


@pytest.fixture
def stubs(tmp_path: Path) -> Callable[..., Path]:
    """stubs(name...) makes commands that write down how they were called; returns the folder to put first on PATH.

    Their calls stand in the file `calls` beside it, a line each.
    """
    folder, calls = tmp_path / "stubs", tmp_path / "calls"
    folder.mkdir()
    calls.touch()

    def make(*names: str, script: str = "") -> Path:
        for name in names:
            path = folder / name
            path.write_text(f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >> "{calls}"\n{script}\n')
            path.chmod(0o755)
        return folder

    return make
