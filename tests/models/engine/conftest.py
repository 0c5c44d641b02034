"""Tiny models, made once, and contexts on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from models.engine.llama.engine import LlamaEngine, Options
from models.engine.llama.weights import Loaded, load
from models.engine.trust import Trust, fingerprint
from tests.models.engine import tiny

Open = Callable[..., LlamaEngine]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tiny")
    return {name: make(folder / f"{name}.gguf") for name, make in tiny.KINDS.items()}


@pytest.fixture(scope="session")
def loaded(files: dict[str, Path]) -> Iterator[dict[str, Loaded]]:
    weights = {name: load(path, trusting(path)) for name, path in files.items()}
    yield weights
    for one in weights.values():
        one.close()


@pytest.fixture
def open_engine(loaded: dict[str, Loaded]) -> Iterator[Open]:
    opened: list[LlamaEngine] = []

    def make(name: str, **options: object) -> LlamaEngine:
        settings = {
            "context_tokens": 256,
            "sequences": 4,
            "batch_tokens": 64,
            "threads": 1,
            "kv": "f32",
            "flash": False,
        }
        opened.append(LlamaEngine(loaded[name], Options(**{**settings, **options})))  # type: ignore[arg-type]
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def trusting(path: Path) -> Trust:
    return Trust(path.parent, shipped=[fingerprint(path)])
