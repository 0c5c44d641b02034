"""The server that llama-cpp-python ships among its examples: continuous batches, in Python on the same bindings."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.errors import PeerNotStarted
from benchmarks.serving.peers.environment import environment_of
from benchmarks.serving.peers.llama_server import libraries, server_tool
from benchmarks.serving.peers.peer import Launch, Peer, Say, Terms
from firmware_configs.bundle.llama import EXAMPLE_SERVER, cache_folder, example_of
from firmware_configs.bundle.target import here
from firmware_configs.errors import LibraryNotBuilt

PACKAGES = ("fastapi", "jinja2", "numpy", "openai", "pydantic", "safetensors", "uvicorn", "websockets")


def example_server() -> Peer:
    return Peer("example-server", "default", _launch)


def _launch(terms: Terms, port: int, folder: Path, say: Say) -> Launch:
    python = environment_of("example-server", PACKAGES, say)
    # It wants the library for pictures, which comes with llama-server.
    pictures = server_tool(say).parent
    try:
        script = example_of(here(), cache_folder())
    except LibraryNotBuilt as error:
        raise PeerNotStarted(server=EXAMPLE_SERVER, detail=error.cause_text) from error
    model = {
        "path": str(terms.gguf), "alias": terms.gguf.stem, "n_ctx": terms.slots * terms.context_tokens,
        "n_seq_max": terms.slots, "threads": terms.threads, "threads_batch": terms.threads, "store_logits": False,
    }  # fmt: skip
    config = folder / "config.json"
    config.write_text(json.dumps({"server": {"host": "127.0.0.1", "port": port}, "model": model}))
    return Launch(
        [str(python), str(script), "-C", str(config)],
        {"MTMD_CPP_LIB": str(pictures), "LD_LIBRARY_PATH": libraries(pictures)},
    )
