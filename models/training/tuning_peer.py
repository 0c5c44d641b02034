"""`python -m models.training.tuning_peer SPEC`: training steps of torch, to stand ours beside (`kinflow bench tuning`).

Written as somebody would write it in torch: its own fused attention, norms, activations. SPEC is a JSON file; on each
line of standard input, a number, as many steps are taken and told, a JSON list of
milliseconds by the clock and of work. At the end of the
input, what else was measured is told.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.training.tuning_peer_detector import detection_loss, detector

Parameters = dict[str, Tensor]
_BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def mobilenet(p: Parameters, x: Tensor) -> Tensor:
    def conv(x: Tensor, name: str, stride: int = 1, groups: int = 1, bounded: bool = True) -> Tensor:
        weight = p[f"{name}.weight"]
        y = functional.conv2d(x, weight, p[f"{name}.bias"], stride, weight.shape[2] // 2, 1, groups)
        return functional.relu6(y) if bounded else y

    x = conv(x, "stem", 2)
    number = 0
    for expansion, _, repeats, first in _BLOCKS:
        for repeat in range(repeats):
            name, stride = f"blocks.{number}", first if repeat == 0 else 1
            y = conv(x, f"{name}.expand") if expansion > 1 else x
            y = conv(y, f"{name}.depthwise", stride, y.shape[1])
            y = conv(y, f"{name}.project", bounded=False)
            x = x + y if stride == 1 and x.shape == y.shape else y
            number += 1
    x = conv(x, "last").mean((2, 3))
    return functional.linear(x, p["classifier.weight"], p["classifier.bias"])


def llama(p: Parameters, tokens: Tensor, heads: int = 8) -> Tensor:
    x = functional.embedding(tokens, p["embedding.weight"])
    batch, places, width = x.shape
    head = width // heads
    steps = torch.arange(0, head, 2, dtype=torch.float64) / head
    angles = torch.outer(torch.arange(places, dtype=torch.float64), 10_000.0**-steps).repeat(1, 2)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)

    def turned(x: Tensor) -> Tensor:
        first, second = x.chunk(2, -1)
        return x * cos + torch.cat((-second, first), -1) * sin

    def parted(x: Tensor) -> Tensor:
        return x.view(batch, places, heads, head).transpose(1, 2)

    for number in range(sum(name.endswith("attention_norm.weight") for name in p)):
        name = f"layers.{number}"
        y = functional.rms_norm(x, (width,), p[f"{name}.attention_norm.weight"], 1e-5)
        q, k, v = (parted(y @ p[f"{name}.attention.{one}.weight"]) for one in "qkv")
        mixed = functional.scaled_dot_product_attention(turned(q), turned(k), v, is_causal=True)
        x = x + mixed.transpose(1, 2).reshape(batch, places, width) @ p[f"{name}.attention.o.weight"]
        y = functional.rms_norm(x, (width,), p[f"{name}.feed_norm.weight"], 1e-5)
        inner = functional.silu(y @ p[f"{name}.feed.gate.weight"]) * (y @ p[f"{name}.feed.up.weight"])
        x = x + inner @ p[f"{name}.feed.down.weight"]
    return functional.rms_norm(x, (width,), p["norm.weight"], 1e-5) @ p["head.weight"]


NETWORKS: dict[str, Callable[[Parameters, Tensor], Tensor]] = {
    "mobilenet": mobilenet, "detector": detector, "llama": llama,
}  # fmt: skip


class Peer:
    """spec: network, weights (an .npz), feeds (an .npz: x and labels), trained (names), threads, rate, channels_last,
    compiled."""

    def __init__(self, spec: dict[str, object], dtype: torch.dtype = torch.float32) -> None:
        torch.set_num_threads(int(str(spec["threads"])))
        last = torch.channels_last if spec.get("channels_last") else torch.contiguous_format
        trained = set(spec["trained"])  # type: ignore[call-overload]
        self.rate = float(str(spec["rate"]))
        self.parameters: Parameters = {}
        for name, value in np.load(str(spec["weights"])).items():
            tensor = torch.from_numpy(value).to(dtype)
            if tensor.dim() == 4:
                tensor = tensor.contiguous(memory_format=last)
            self.parameters[name] = tensor.requires_grad_(name in trained)
        self.trained = [one for one in self.parameters.values() if one.requires_grad]
        feeds = np.load(str(spec["feeds"]))
        self.x, self.labels = torch.from_numpy(feeds["x"]), torch.from_numpy(feeds["labels"])
        if self.x.is_floating_point():
            self.x = self.x.to(dtype).contiguous(memory_format=last if self.x.dim() == 4 else torch.contiguous_format)
        if self.labels.is_floating_point():
            self.labels = self.labels.to(dtype)
        network = NETWORKS[str(spec["network"])]
        self.network = torch.compile(network) if spec.get("compiled") else network

    def loss(self) -> Tensor:
        logits = self.network(self.parameters, self.x)
        if self.labels.is_floating_point():
            return detection_loss(logits, self.labels, self.x.shape[-1])
        return functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), self.labels.reshape(-1), ignore_index=-1)

    def step(self) -> float:
        loss = self.loss()
        gradients = torch.autograd.grad(loss, self.trained)
        with torch.no_grad():
            torch._foreach_add_(self.trained, gradients, alpha=-self.rate)
        return float(loss.detach())


def peak_mb() -> float:
    """The most memory that this process held. (getrusage would tell of whoever started it, too.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1e3


def began_s_ago() -> float:
    """Since this process was started."""
    ticks = int(Path("/proc/self/stat").read_text().rsplit(") ", 1)[1].split()[19])
    up = float(Path("/proc/uptime").read_text().split()[0])
    return up - ticks / os.sysconf("SC_CLK_TCK")


def exact(spec: dict[str, object], out: Path) -> None:
    """Gradients in double precision, by name; and the losses of `steps` steps, in double precision and in single."""
    peer = Peer(spec, torch.float64)
    loss = peer.loss()
    found = torch.autograd.grad(loss, peer.trained)
    names = [name for name, one in peer.parameters.items() if one.requires_grad]
    arrays = {name: one.numpy() for name, one in zip(names, found, strict=True)}
    steps = range(int(str(spec["steps"])))
    losses = {kind: np.array([one.step() for _ in steps]) for kind, one in (("double", peer), ("single", Peer(spec)))}
    np.savez(out, **arrays, **losses)  # type: ignore[arg-type]


def main() -> None:
    before = peak_mb()
    spec = json.loads(Path(sys.argv[1]).read_text())
    if len(sys.argv) > 2:
        exact(spec, Path(sys.argv[2]))
        return
    peer = Peer(spec)
    peer.step()
    first = began_s_ago()
    print(json.dumps({"first_step_s": first}), flush=True)
    for line in sys.stdin:
        taken = []
        for _ in range(int(line)):
            began, worked = time.perf_counter(), time.process_time()
            peer.step()
            taken.append(((time.perf_counter() - began) * 1e3, (time.process_time() - worked) * 1e3))
        print(json.dumps(taken), flush=True)
    print(json.dumps({"rss_over_import_mb": peak_mb() - before}), flush=True)


if __name__ == "__main__":
    main()
