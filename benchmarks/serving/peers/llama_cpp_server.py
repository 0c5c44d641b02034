"""llama-cpp-python's `llama_cpp.server`: one answer at a time."""

from __future__ import annotations

from pathlib import Path

from benchmarks.serving.peers.environment import environment_of
from benchmarks.serving.peers.peer import Launch, Peer, Say, Terms

PACKAGES = (
    "fastapi", "uvicorn", "pydantic-settings>=2.0.1", "sse-starlette>=1.6.1", "starlette-context>=0.3.6,<0.4", "PyYAML",
)  # fmt: skip


def llama_cpp_server() -> Peer:
    return Peer("llama_cpp.server", "default, answers not interrupted", _launch)


def _launch(terms: Terms, port: int, _: Path, say: Say) -> Launch:
    python = environment_of("llama-cpp-server", PACKAGES, say)
    # It has one sequence. Logits of whole prompts, its default, would take gigabytes at these contexts; and by default
    # it ends an answer as soon as somebody else asks.
    options = {
        "model": terms.gguf, "host": "127.0.0.1", "port": port, "n_ctx": terms.context_tokens,
        "n_threads": terms.threads, "n_threads_batch": terms.threads, "logits_all": "false",
        "interrupt_requests": "false",
    }  # fmt: skip
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return Launch([str(python), "-m", "llama_cpp.server", *words])
