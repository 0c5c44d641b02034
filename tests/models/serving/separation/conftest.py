"""The tiny models of the engine's tests."""

from tests.models.engine.conftest import files, loaded, open_engine

__all__ = ["files", "loaded", "open_engine"]
