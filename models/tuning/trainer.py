"""Runs a compiled program: numpy and stock onnxruntime, nothing else.

The next state is written into a second set of buffers and the two change places. Writing over the first would save
memory, and onnxruntime doesn't know that some node still reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from models.errors import ProgramUnreadable
from models.tuning import safetensors_file, sampled
from models.tuning.bundle import APPLY, FORWARD, START, STEP, load_manifest
from models.tuning.graph import Array
from models.tuning.sessions import open_session


class Trainer:
    """One thread uses it at a time. Raises ProgramUnreadable (KF368) for a folder that can't be run."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self.manifest = load_manifest(folder)
        self._folder, self._threads = folder, threads
        self._step = self._open(STEP)
        self._apply = self._open(APPLY) if self.manifest.accumulate > 1 else None
        self._forward: Any = None
        values, _ = safetensors_file.read(folder / START)
        self.steps_done = 0
        self._now = {name: _held(value) for name, value in values.items()}
        stays = {name for one in self.manifest.sampled for name in (one.whole, one.channels)}
        self._then = {name: _held(value) for name, value in values.items() if name not in stays}
        self._loss = _held(np.zeros((), np.float32))

    def _open(self, name: str) -> Any:
        return open_session(self._folder / name, self._threads, self.manifest.order)

    def step(self, feeds: Mapping[str, Array], factor: float = 1.0) -> float:
        """One batch, with its targets; factor: of the learning rate. Gives the loss before the step. An update whose
        loss is not finite is not taken over: the state stays what it was."""
        every = self.manifest.accumulate
        updates = self.manifest.optimizer.given(self.steps_done // every + 1, factor)
        loss = self._run(self._step, {**feeds, **(updates if every == 1 else {})}, with_loss=True)
        if not np.isfinite(loss):
            return loss
        self._swap(self._step)
        self.steps_done += 1
        if self._apply is not None and self.steps_done % every == 0:
            self._run(self._apply, updates, with_loss=False)
            self._swap(self._apply)
        return loss

    def _run(self, session: Any, feeds: Mapping[str, Array], with_loss: bool) -> float:
        binding = session.io_binding()
        for one in session.get_inputs():
            if one.name in self._now:
                binding.bind_ortvalue_input(one.name, self._now[one.name])
            else:
                binding.bind_cpu_input(one.name, feeds[one.name])
        for one in session.get_outputs():
            name = one.name.removeprefix("next.")
            if name in self._then:
                binding.bind_ortvalue_output(one.name, self._then[name])
        if with_loss:
            binding.bind_ortvalue_output("loss", self._loss)
        session.run_with_iobinding(binding)
        return float(self._loss.numpy())

    def _swap(self, session: Any) -> None:
        for one in session.get_outputs():
            name = one.name.removeprefix("next.")
            if name in self._then:
                self._now[name], self._then[name] = self._then[name], self._now[name]

    def evaluate(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Loss and outputs, without a step."""
        if self._forward is None:
            self._forward = self._open(FORWARD)
        given = {}
        for one in self._forward.get_inputs():
            given[one.name] = self._now[one.name].numpy() if one.name in self._now else feeds[one.name]
        return dict(zip(self.manifest.outputs, self._forward.run(list(self.manifest.outputs), given), strict=True))

    def state(self) -> dict[str, Array]:
        """A copy of everything that training changes."""
        return {name: np.array(value.numpy()) for name, value in self._now.items()}

    def restore(self, state: Mapping[str, Array], steps_done: int) -> None:
        """Raises ProgramUnreadable when it is another program's."""
        own = {name: tuple(value.shape()) for name, value in self._now.items()}
        if {name: value.shape for name, value in state.items()} != own:
            raise ProgramUnreadable(path=self._folder, detail="the saved state is that of another program")
        self._now = {name: _held(value) for name, value in state.items()}
        self.steps_done = steps_done

    def tensors(self) -> dict[str, Array]:
        """The trained tensors, by their names in the network."""
        return sampled.tensors(self.manifest.places, self.manifest.sampled, self.state())

    def redraw(self, random: np.random.Generator) -> None:
        """Of sampled weights, train other channels from now on."""
        state = self.state()
        sampled.redraw(self.manifest.places, self.manifest.sampled, state, random)
        self._now = {name: _held(value) for name, value in state.items()}


def _held(value: Array) -> Any:
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.array(value))
