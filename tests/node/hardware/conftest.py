"""Boards as they look from /proc and /sys, each in one file: `== path`, then what that file holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from node.hardware.found import Builds, Hardware
from node.hardware.probe import probe
from node.hardware.tree import Tree

BOARDS = Path(__file__).parent / "boards"
ARCHITECTURES = {"closet": "x86_64", "unknown": "riscv64"}


@pytest.fixture
def plant(tmp_path: Path) -> Callable[..., Tree]:
    """plant(name, {path: content}) lays a recorded board out below a folder; content None takes a file away."""

    def lay(name: str, changes: dict[str, str | None] | None = None) -> Tree:
        files: dict[str, str | None] = {}
        for part in (BOARDS / f"{name}.txt").read_text().split("== ")[1:]:
            path, _, content = part.partition("\n")
            files[path] = content
        root = tmp_path / f"board-{len(list(tmp_path.iterdir()))}"
        root.mkdir()
        for path, content in (files | (changes or {})).items():
            if content is not None:
                target = root / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.replace("\\0", "\0").encode())
        return Tree(root)

    return lay


@pytest.fixture
def board(plant: Callable[..., Tree]) -> Callable[..., Hardware]:
    """board(name, {path: content}, builds) is a recorded board, probed."""

    def found(name: str, changes: dict[str, str | None] | None = None, builds: Builds = Builds()) -> Hardware:  # noqa: B008
        return probe(plant(name, changes), ARCHITECTURES.get(name, "aarch64"), lambda: builds)

    return found
