"""Training on processor cores: a process for each, gradients averaged after each step, so that none waits inside a
layer. Seeded and resumable: what a step sees follows from seed and step alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import cos, pi
from pathlib import Path

import torch
import torch.distributed as group
from torch import Tensor

from models.training.detector.augment import as_input
from models.training.detector.lessons import Lessons
from models.training.detector.loss import losses
from models.training.detector.network import Network, grid
from models.training.detector.targets import Targets

WARM_UP = 100
LEAST_RATE = 0.03
EMA = 0.998
GRADIENT_NORM = 20.0
LEAST_SIZE = 1e-3


@dataclass(frozen=True)
class Plan:
    """steps of `batch` pictures for each of `processes`. minutes: 0, or end sooner, the schedule squeezed to fit (such
    a run cannot be repeated exactly). rate: the highest learning rate, relative to the root mean square of each tensor
    (as in Adafactor, Shazeer and Stern 2018, section 8): folded convolutions differ in size by orders of magnitude, and
    a step that suits one would wreck another."""

    steps: int
    batch: int = 8
    processes: int = 2
    rate: float = 2e-3
    seed: int = 1
    minutes: float = 0.0
    save_every: int = 50


def rate_at(progress: float, step: int, highest: float) -> float:
    """A short warm-up, then half a cosine."""
    return highest * min(1.0, (step + 1) / WARM_UP) * (LEAST_RATE + (1 - LEAST_RATE) * (1 + cos(pi * progress)) / 2)


def _size(tensor: Tensor) -> float:
    return float(tensor.detach().square().mean().sqrt())


class Run:
    """network, its moving average and the optimiser, as they are saved."""

    def __init__(self, network: Network, plan: Plan, checkpoint: Path) -> None:
        self.network = network.to(memory_format=torch.channels_last)
        self.average = {name: value.clone() for name, value in network.state_dict().items()}
        groups = [{"params": [one], "size": max(LEAST_SIZE, _size(one))} for one in network.parameters()]
        self.optimiser = torch.optim.Adam(groups, lr=plan.rate, betas=(0.9, 0.99))
        self.plan = plan
        self.checkpoint = checkpoint
        self.step = 0
        if checkpoint.exists():
            saved = torch.load(checkpoint, weights_only=True)
            network.load_state_dict(saved["network"])
            self.average, self.step = saved["average"], saved["step"]
            self.optimiser.load_state_dict(saved["optimiser"])

    def save(self) -> None:
        part = self.checkpoint.with_suffix(".part")
        saved = {
            "network": self.network.state_dict(), "average": self.average, "step": self.step,
            "optimiser": self.optimiser.state_dict(),
        }  # fmt: skip
        torch.save(saved, part)
        part.replace(self.checkpoint)

    def learn(self, images: Tensor, truth: list[Targets], progress: float) -> str:
        for one in self.optimiser.param_groups:
            one["lr"] = rate_at(progress, self.step, self.plan.rate) * one["size"]
        raw = self.network(images.to(memory_format=torch.channels_last))
        result = losses(raw, grid(*images.shape[2:]), truth)
        self.optimiser.zero_grad()
        result.total.backward()
        parameters = [one for one in self.network.parameters() if one.grad is not None]
        if self.plan.processes > 1:
            flat = torch.cat([one.grad.reshape(-1) for one in parameters]) / self.plan.processes
            group.all_reduce(flat)
            for one, part in zip(parameters, flat.split([one.numel() for one in parameters]), strict=True):
                one.grad.copy_(part.view_as(one))
        torch.nn.utils.clip_grad_norm_(parameters, GRADIENT_NORM)
        self.optimiser.step()
        self.step += 1
        keep = min(EMA, self.step / (self.step + 20))
        for name, value in self.network.state_dict().items():
            self.average[name].lerp_(value, 1 - keep)
        return f"{result.total:.3f} box {result.box:.3f} obj {result.objectness:.3f} class {result.classes:.3f}"


def work(process: int, plan: Plan, network: Network, lessons: Lessons, checkpoint: Path) -> None:
    """One of the processes."""
    torch.set_num_threads(1)
    if plan.processes > 1:
        meeting = checkpoint.with_suffix(".meet").resolve().as_uri()
        group.init_process_group("gloo", init_method=meeting, rank=process, world_size=plan.processes)
    run = Run(network, plan, checkpoint)
    began, first = time.monotonic(), run.step
    while True:
        elapsed = (time.monotonic() - began) / 60
        progress = max(run.step / plan.steps, elapsed / plan.minutes if plan.minutes else 0.0)
        if plan.processes > 1:
            shared = torch.tensor([progress])
            group.broadcast(shared, 0)
            progress = float(shared)
        if progress >= 1.0:
            break
        images, truth = lessons.batch(run.step, process, plan.batch)
        told = run.learn(torch.from_numpy(as_input(images)), truth, progress)
        if process == 0 and run.step % 10 == 0:
            pace = (run.step - first) * plan.batch * plan.processes / (time.monotonic() - began)
            print(f"step {run.step} ({progress:.1%}) loss {told}; {pace:.1f} pictures/s", flush=True)
        if process == 0 and run.step % plan.save_every == 0:
            run.save()
    if process == 0:
        run.save()
    if plan.processes > 1:
        group.destroy_process_group()


def train(plan: Plan, network: Network, lessons: Lessons, checkpoint: Path) -> Network:
    """The moving average of the trained network. Goes on from `checkpoint` if that is there."""
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.with_suffix(".meet").unlink(missing_ok=True)
    if plan.processes > 1:
        torch.multiprocessing.start_processes(
            work, (plan, network, lessons, checkpoint), nprocs=plan.processes, start_method="fork"
        )
    else:
        work(0, plan, network, lessons, checkpoint)
    return averaged(checkpoint)


def averaged(checkpoint: Path) -> Network:
    network = Network()
    network.load_state_dict(torch.load(checkpoint, weights_only=True)["average"])
    return network.eval()
