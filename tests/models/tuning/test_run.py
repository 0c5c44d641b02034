"""`kinflow tune run`, with real processes: what it learns, how it stops, how it goes on, and what comes out."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from models.errors import DataUnusable, DeltaUnfit, TensorsUnreadable, WorkerLost
from models.tuning import deltas, onnx_file, safetensors_file
from models.tuning.data.opening import open_examples
from models.tuning.running import run_worker
from tests.models.tuning.small import network, tones, tune

ROOT = Path(__file__).resolve().parents[3]
DEADLINE_S = 50.0


def asked(place: Path, *more: object) -> list[str]:
    given = ["run", place / "net.onnx", "--data", place / "data", "--out", place / "out", "--scheme", "full", *more]
    return [str(one) for one in given]


def test_it_learns_and_gives_a_network_that_answers(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune(*asked(place, "--epochs", 25, "--rate", 0.02, "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["whole"]
    assert told["judged"][0]["accuracy"] < 0.7
    assert told["judged"][-1]["accuracy"] > 0.9
    assert (place / "out" / "loss.png").stat().st_size > 1000
    # The network had two classes; the data has three.
    session = onnxruntime.InferenceSession(place / "out" / "trained.onnx", providers=["CPUExecutionProvider"])
    examples = open_examples(place / "data", ("x", (8, 3, 16, 16)), "classification")
    right = 0
    for number in range(len(examples.keys)):
        value, label = examples.load(number).values()
        (logits,) = session.run(None, {"x": value[None]})
        assert logits.shape == (1, 3)
        right += int(logits.argmax() == label)
    assert right > 0.9 * len(examples.keys)
    # What comes out is exactly the base with the delta, anywhere.
    assert tune("apply", place / "net.onnx", place / "out" / "delta.safetensors", place / "again.onnx") == 0
    ours, theirs = (onnx_file.tensors(path) for path in (place / "out" / "trained.onnx", place / "again.onnx"))
    assert all((ours[name] == theirs[name]).all() for name in ours)
    delta = deltas.read(place / "out" / "delta.safetensors")
    assert (delta.scheme, delta.labels, set(delta.whole)) == (
        "full", ("flat", "lying", "standing"), {"head.weight", "head.bias"},
    )  # fmt: skip
    assert delta.samples > 0


def test_it_goes_on_where_it_was_and_ends_as_if_it_had_never_stopped(place: Path) -> None:
    assert tune(*asked(place, "--epochs", 4, "--json")) == 0
    straight = deltas.read(place / "out" / "delta.safetensors").differences
    (place / "out").rename(place / "straight")
    # A schedule knows its end from the beginning, so the first part must aim at four epochs too.
    with subprocess.Popen(
        [sys.executable, "-c", "from kinflow.main import main; main()", "tune", *asked(place, "--epochs", "4")],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("[") and " 0/" not in line:
                break
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=DEADLINE_S)
    # 130 when it was caught within; 0 when it had already ended.
    assert process.returncode in (0, 130), told
    assert (place / "out" / "state.safetensors").exists()
    assert tune(*asked(place, "--epochs", 4, "--json")) == 0
    again = deltas.read(place / "out" / "delta.safetensors").differences
    assert all((again[name] == straight[name]).all() for name in straight)


@pytest.mark.parametrize("verb", ["prepare", "finish"])
def test_ctrl_c_before_and_after_training_is_heard_like_within(place: Path, verb: str) -> None:
    assert tune(*asked(place, "--epochs", 1, "--json")) == 0
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had it ignored
    for delay_s in (0.02, 0.2, 0.5, 0.9):
        timer = threading.Timer(delay_s, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        try:
            whole = run_worker(verb, place / "out", lambda _: None)
            assert isinstance(whole, bool)
            time.sleep(1.0)  # one that came too late is caught here
        except KeyboardInterrupt:
            pass
        timer.join()
    signal.signal(signal.SIGINT, usual)
    assert tune(*asked(place, "--epochs", 1, "--json", "--fresh")) == 0


def test_a_killed_worker_is_told_and_its_last_state_is_whole(place: Path) -> None:
    assert tune(*asked(place, "--epochs", 1, "--json")) == 0
    saved = (place / "out" / "state.safetensors").read_bytes()
    job = json.loads((place / "out" / "job.json").read_text())
    (place / "out" / "job.json").write_text(json.dumps(job | {"epochs": 5000}))
    killed: list[int] = []

    def kill(_: object) -> None:
        if not killed:
            for pid in [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()]:
                try:
                    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if b"models.tuning.worker" in words and str(place / "out").encode() in words:
                    killed.append(pid)
                    os.kill(pid, signal.SIGKILL)

    with pytest.raises(WorkerLost, match="signal 9"):
        run_worker("train", place / "out", kill)
    assert killed
    state, metadata = safetensors_file.read(place / "out" / "state.safetensors")
    assert int(metadata["steps_done"]) > 0
    assert all(np.isfinite(one).all() for one in state.values())
    assert len(saved) > 0


def test_a_loss_that_diverges_stops_and_keeps_the_last_good_state(place: Path) -> None:
    status = tune(*asked(place, "--epochs", 200, "--optimizer", "sgd", "--rate", 1e30, "--clip", 0))
    assert status == 254
    state, metadata = safetensors_file.read(place / "out" / "state.safetensors")
    assert all(np.isfinite(one).all() for one in state.values())
    assert int(metadata["steps_done"]) == 0


@pytest.mark.parametrize("scheme", ["full", "deep"])
def test_a_disk_that_takes_no_more_loses_nothing(place: Path, scheme: str) -> None:
    more = ("--scheme", scheme, "--json", "--epochs")
    assert tune(*asked(place, *more, 2)) == 0
    saved = (place / "out" / "state.safetensors").read_bytes()
    size = min(len(saved), 4000)
    # As with a full one, but that the system says it in other words.
    limited = subprocess.run(
        [sys.executable, "-c", "from kinflow.main import main; main()", "tune", *asked(place, *more, 3)],
        cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1, size - 1)),
    )  # fmt: skip
    assert limited.returncode != 0
    assert "File too large" in limited.stderr
    assert (place / "out" / "state.safetensors").read_bytes() == saved
    assert not list((place / "out").glob(".*"))
    assert tune(*asked(place, *more, 3)) == 0


def test_another_training_is_not_mixed_in(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune(*asked(place, "--epochs", 1, "--json")) == 0
    assert tune(*asked(place, "--epochs", 1, "--rate", 0.5)) == 254
    assert "KF372" in capsys.readouterr().err
    assert tune(*asked(place, "--epochs", 1, "--rate", 0.5, "--fresh", "--json")) == 0


def test_sounds_are_learnt_from_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network(tmp_path / "net.onnx", channels=1)
    tones(tmp_path / "data")
    assert tune(*asked(tmp_path, "--epochs", 20, "--rate", 0.02, "--json")) == 0
    assert json.loads(capsys.readouterr().out)["judged"][-1]["accuracy"] == 1.0


def test_what_can_not_be_trained_on_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = place / "data"

    def refused() -> str:
        with pytest.raises(DataUnusable) as found:
            open_examples(data, ("x", (8, 3, 16, 16)), "classification")
        return str(found.value)

    (data / "lying" / "broken.png").write_bytes(b"no picture")
    assert open_examples(data, ("x", (8, 3, 16, 16)), "classification").left_out == (
        "lying/broken.png: it is no whole picture",
    )
    for number in range(40):
        (data / "lying" / f"broken{number}.png").write_bytes(b"")
    assert "41 files can't be read" in refused()
    (data / "empty").mkdir()
    for one in (data / "lying").glob("broken*"):
        one.unlink()
    assert "'empty' has no files" in refused()
    for name in ("empty", "flat", "standing"):
        (data / name).rename(place / name)
    assert "one class only" in refused()
    (data / "lying").rename(place / "lying")
    assert "holds no files" in refused()
    # Through the worker's process and back; and nothing is left that a next try would stumble over.
    assert tune(*asked(place)) != 0
    assert "KF371" in capsys.readouterr().err
    assert not (place / "out" / "job.json").exists()
    (place / "net.onnx").write_bytes(b"no network")
    assert tune(*asked(place)) == 105


def test_a_delta_belongs_to_one_file(place: Path, tmp_path: Path) -> None:
    assert tune(*asked(place, "--epochs", 1, "--json")) == 0
    network(place / "other.onnx", classes=4)
    assert tune("apply", place / "other.onnx", place / "out" / "delta.safetensors", place / "x.onnx") == 254
    assert not (place / "x.onnx").exists()
    path = place / "out" / "delta.safetensors"
    whole = path.read_bytes()
    delta = deltas.read(path)
    for cut in (0, 7, 40, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises((TensorsUnreadable, DeltaUnfit)):
            deltas.read(path)
    path.write_bytes(whole)
    base = onnx_file.tensors(place / "net.onnx")
    bad = deltas.Delta(delta.base_sha256, "x", 1, {"conv1.bias": np.full(8, np.nan, np.float32)})
    with pytest.raises(DeltaUnfit, match="no number"):
        deltas.applied(path, bad, base)
    bad = deltas.Delta(delta.base_sha256, "x", 1, {"conv1.bias": np.zeros(3, np.float32)})
    with pytest.raises(DeltaUnfit, match="shape"):
        deltas.applied(path, bad, base)


def test_a_language_model_learns_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks.tuning.networks import Llama, llama  # noqa: PLC0415

    form = Llama(vocabulary=256, width=16, layers=2, heads=2, hidden=24, places=8)
    onnx_file.write(llama(form), tmp_path / "net.onnx")
    (tmp_path / "data").write_text("\n".join(json.dumps({"text": "the light is red."}) for _ in range(20)))
    words = [*asked(tmp_path, "--epochs", 6, "--rate", 0.02, "--json", "--loss", "language"), "--scheme", "lora"]
    assert tune(*words) == 0
    judged = json.loads(capsys.readouterr().out)["judged"]
    assert judged[-1]["loss"] < judged[0]["loss"] - 0.3
    delta = deltas.read(tmp_path / "out" / "delta.safetensors")
    assert "layers.0.attention.q.weight" in delta.differences
    assert (tmp_path / "out" / "trained.onnx").exists()
    for line, said in (('{"tokens": [1, 256]}', "outside 0 to 255"), ("{}", "line 1"), ('{"tokens": [0.5]}', "line 1")):
        (tmp_path / "data").write_text(line)
        with pytest.raises(DataUnusable, match=said):
            open_examples(tmp_path / "data", ("tokens", (2, 8)), "language", 256)


def test_a_plan_measures_each_scheme_and_chooses(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--scheme", "head", "--scheme", "full", "--scheme", "lora", "--json"]
    assert tune("plan", place / "net.onnx", "--memory", "900MB", *words) == 0
    told = json.loads(capsys.readouterr().out)
    rows = {one["scheme"]: one for one in told["rows"]}
    assert told["chosen"] == "full"
    assert rows["full"]["trained"] > rows["head"]["trained"] == 26
    assert rows["head"]["step_ms"] > 0
    assert "adapter" in rows["lora"]["refused"]
    assert tune("plan", place / "net.onnx", "--tensors") == 0
    assert "conv1.bias" in capsys.readouterr().out
