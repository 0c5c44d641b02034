"""llama.cpp's llama-server: of the same source and flags as the library that we run, and on that very library."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from benchmarks.errors import PeerNotStarted
from benchmarks.serving.peers.peer import Launch, Peer, Say, Terms
from firmware_configs.bundle.llama import SERVER, cache_folder, tool_of
from firmware_configs.bundle.target import here
from firmware_configs.errors import LibraryNotBuilt
from models.engine.llama.library import library

# How much of a prompt goes into a step; by itself, the default.
BATCHES = (64, 128, 256, 512, 2048)


def llama_server(batch_tokens: int | None = None) -> Peer:
    """batch_tokens: its -b; None for its default."""
    setting = "default" if batch_tokens is None else f"-b {batch_tokens}"
    return Peer("llama-server", setting, partial(_launch, batch_tokens))


def _launch(batch_tokens: int | None, terms: Terms, port: int, _: Path, say: Say) -> Launch:
    tool = server_tool(say)
    command = [str(tool), "-m", str(terms.gguf), "--host", "127.0.0.1", "--port", str(port)]
    command += ["-c", str(terms.slots * terms.context_tokens), "-np", str(terms.slots)]
    command += ["-t", str(terms.threads), "-tb", str(terms.threads)]
    command += ["-b", str(batch_tokens)] if batch_tokens is not None else []
    return Launch(command, {"LD_LIBRARY_PATH": libraries(tool.parent)})


def server_tool(say: Say) -> Path:
    """Built the first time: some minutes. Raises PeerNotStarted (KF530)."""
    try:
        return tool_of(here(), cache_folder(), say, SERVER)
    except LibraryNotBuilt as error:
        raise PeerNotStarted(server="llama-server", detail=error.cause_text) from error


def libraries(tools: Path) -> str:
    """Where llama.cpp's are: those that we run, then those in the tools' folder."""
    own = Path(library().llama.__file__).parent / "lib"
    return os.pathsep.join((str(own), str(tools)))
