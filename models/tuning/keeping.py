"""What the frozen beginning of a network gives for each example: computed once, in the order of the examples, and read
again whenever one is seen (its program: models.tuning.cutting)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from models.tuning.bundle import PREFIX, Manifest, Tensor
from models.tuning.data.examples import Examples
from models.tuning.graph import Array
from models.tuning.sessions import open_session


class Prefix:
    """The frozen beginning. Raises ProgramUnreadable (KF368)."""

    def __init__(self, program: Path, manifest: Manifest, threads: int = 1) -> None:
        self._session = open_session(program / PREFIX, threads, manifest.order)
        self._names = list(manifest.kept)

    def __call__(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """feeds: of the network's inputs a batch, which is gone through one by one: that takes the least memory. What
        it gives has the names that the rest is fed by."""
        inputs = [one.name for one in self._session.get_inputs()]
        rows = [
            self._session.run(self._names, {name: feeds[name][row : row + 1] for name in inputs})
            for row in range(len(feeds[inputs[0]]))
        ]
        return {name: np.concatenate(parts) for name, parts in zip(self._names, zip(*rows, strict=True), strict=True)}


class Store:
    """Rows of examples in a file without a name, which is gone with this process, however that ends."""

    def __init__(self, folder: Path, tensors: Mapping[str, Tensor]) -> None:
        """tensors: of a batch, whose first axis the examples are."""
        self._rows = {name: Tensor(one.shape[1:], one.kind) for name, one in tensors.items()}
        self._bytes = row_bytes(tensors)
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 (open as long as this is)

    def append(self, batch: Mapping[str, Array], count: int) -> None:
        """The first `count` rows of a batch. Raises OSError where there is no room."""
        for row in range(count):
            record = memoryview(b"".join(np.ascontiguousarray(batch[name][row]).tobytes() for name in self._rows))
            while record:
                record = record[self._file.write(record) :]

    def read(self, number: int) -> dict[str, Array]:
        record = os.pread(self._file.fileno(), self._bytes, number * self._bytes)
        found: dict[str, Array] = {}
        start = 0
        for name, one in self._rows.items():
            count = int(np.prod(one.shape, dtype=np.int64))
            found[name] = np.frombuffer(record, one.kind, count, start).reshape(one.shape)
            start += found[name].nbytes
        return found

    def close(self) -> None:
        self._file.close()


def row_bytes(tensors: Mapping[str, Tensor]) -> int:
    """Of one example."""
    return sum(np.dtype(one.kind).itemsize * int(np.prod(one.shape[1:], dtype=np.int64)) for one in tensors.values())


def fill(store: Store, prefix: Prefix, examples: Examples, batch: int) -> Iterator[int]:
    """Tells how many examples are done."""
    total = len(examples.keys)
    for place, feeds in enumerate(examples.batches(range(total), batch)):
        done = min((place + 1) * batch, total)
        store.append(feeds | prefix(feeds), done - place * batch)
        yield done
