"""What frozen layers give is computed once: `kinflow tune run` with it and without learns the same."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.tuning import compiling, deltas
from models.tuning.bundle import PREFIX, Tensor
from models.tuning.keeping import Store, row_bytes
from tests.models.tuning.small import network, tones, tune

ROOT = Path(__file__).resolve().parents[3]
DEADLINE_S = 50.0


def asked(place: Path, out: str, *more: object) -> list[str]:
    given = ["run", place / "net.onnx", "--data", place / "data", "--out", place / out, "--rate", 0.02, *more]
    return [str(one) for one in given]


def learnt(place: Path, out: str) -> Mapping[str, Any]:
    return deltas.read(place / out / "delta.safetensors").differences


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_come_back_as_they_were(tmp_path: Path, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 5))
    shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
    kinds = st.sampled_from(["float32", "int64", "float16", "bool"])
    forms = data.draw(st.lists(st.tuples(shapes, kinds), min_size=1, max_size=3))
    batch = {str(n): data.draw(arrays(kind, (count, *shape))) for n, (shape, kind) in enumerate(forms)}
    tensors = {name: Tensor(one.shape, one.dtype.name) for name, one in batch.items()}
    assert row_bytes(tensors) * count == sum(one.nbytes for one in batch.values())
    with closing(Store(tmp_path, tensors)) as store:
        store.append(batch, count)
        store.append(batch, 1)
        for row in [*range(count), count]:
            found = store.read(row)
            for name, value in batch.items():
                expected = value[row % count]
                assert found[name].dtype == value.dtype
                assert found[name].tobytes() == expected.tobytes()
                assert found[name].shape == expected.shape


@pytest.mark.parametrize("scheme", ["deep", "head"])
def test_it_learns_the_same_and_leaves_nothing(place: Path, scheme: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune(*asked(place, "kept", "--epochs", 6, "--scheme", scheme)) == 0
    told = capsys.readouterr().err
    assert "computed once: 75 of 75 examples" in told
    assert tune(*asked(place, "whole", "--epochs", 6, "--scheme", scheme, "--keep", 0)) == 0
    assert "computed once" not in capsys.readouterr().err
    one, other = learnt(place, "kept"), learnt(place, "whole")
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert np.allclose(value, other[name], rtol=1e-2, atol=1e-3 * np.abs(value).max()), name
    names = {path.name for path in (place / "kept").iterdir()}
    assert names == {path.name for path in (place / "whole").iterdir()}
    assert (place / "kept" / "program" / PREFIX).exists()
    assert not (place / "whole" / "program" / PREFIX).exists()


def test_of_sounds_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network(tmp_path / "net.onnx", channels=1)
    tones(tmp_path / "data")
    assert tune(*asked(tmp_path, "out", "--epochs", 20, "--json")) == 0
    assert json.loads(capsys.readouterr().out)["judged"][-1]["accuracy"] == 1.0
    assert (tmp_path / "out" / "program" / PREFIX).exists()


def test_stopped_and_gone_on_with_it_ends_as_if_it_had_never_stopped(place: Path) -> None:
    more = ("--epochs", 40, "--scheme", "deep")
    assert tune(*asked(place, "straight", *more, "--json")) == 0
    with subprocess.Popen(
        [sys.executable, "-c", "from kinflow.main import main; main()", "tune", *asked(place, "out", *more)],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("[") and " 0/" not in line:
                break
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=DEADLINE_S)
    assert process.returncode in (0, 130), told
    assert tune(*asked(place, "out", *more, "--json")) == 0
    one, other = learnt(place, "out"), learnt(place, "straight")
    assert all((one[name] == other[name]).all() for name in other)


def test_with_little_room_or_one_epoch_nothing_is_kept(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, more in enumerate((("--keep", "10KB"), ("--epochs", 1))):
        assert tune(*asked(place, f"out{number}", "--scheme", "deep", "--json", "--epochs", 2, *more)) == 0
        assert not (place / f"out{number}" / "program" / PREFIX).exists()
    capsys.readouterr()
    job = compiling.Job(
        model=str(place / "net.onnx"), base_sha256="", data="", scheme="deep", epochs=2, keep_mb=1000.0
    )  # fmt: skip
    compiling.compile_job(job, place / "there", 75)
    assert (place / "there" / "program" / PREFIX).exists()
    usage = shutil.disk_usage(place)
    monkeypatch.setattr(compiling.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    compiling.compile_job(job, place / "full", 75)
    assert not (place / "full" / "program" / PREFIX).exists()
    # Nor is a program left that nothing runs.
    compiling.compile_job(job, place / "there", 75)
    assert not (place / "there" / "program" / PREFIX).exists()


def test_what_is_kept_goes_with_a_process_that_is_killed(place: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; import numpy as np\n"
        "from models.tuning.bundle import Tensor; from models.tuning.keeping import Store\n"
        "store = Store(Path(sys.argv[1]), {'x': Tensor((1, 1000), 'float32')})\n"
        "store.append({'x': np.ones((1, 1000), np.float32)}, 1); print('there', flush=True); time.sleep(60)"
    )
    folder = place / "kept"
    folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not list(folder.iterdir())
