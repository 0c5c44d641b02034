"""Detectors: which cells stand for what, the loss against its mathematics, YOLO labels, and a whole training."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinflow.main import run as kinflow
from models.errors import DataUnusable, LossUnfit
from models.tuning.compiler import Recipe, gradient_graph
from models.tuning.data.assignment import LEAST_PX, RADIUS, assigned
from models.tuning.data.yolo import Network, labels_of, names_in, yolo
from models.tuning.detectors import network_of
from models.tuning.graph import Array, Builder, Graph
from models.tuning.judging import AveragePrecision
from models.tuning.losses import Boxes
from models.tuning.losses.detection import BOX_WEIGHT, LEAST_COVER
from models.vision.grid import cells
from models.vision.onnx_model import OnnxModel
from models.vision.opening import SHIPPED, open_detector
from tests.models.tuning.doubles import Evaluator
from tests.models.tuning.small import network as classifier
from tests.models.tuning.squares import LABELS, SIZE, detector, squares

GRID = cells(SIZE, SIZE, (8, 16, 32))
COUNT = len(LABELS)


def by_hand(boxes: Array, classes: Array, cell: Array) -> tuple[int, bool]:
    """Which box a cell stands for (-1: none), and whether it counts, by the definition."""
    (x, y), stride = (cell[:2] + 0.5) * cell[2], float(cell[2])
    starts, ends = {8: 0, 16: 64, 32: 128}, {8: 64, 16: 128, 32: np.inf}
    best, smallest, counts = -1, np.inf, True
    for number, (left, top, right, bottom) in enumerate(boxes.astype(np.float64)):
        sides = (x - left, y - top, right - x, bottom - y)
        if min(sides) <= 0:
            continue
        if classes[number] < 0 or min(right - left, bottom - top) < LEAST_PX:
            counts = False
            continue
        off = max(abs(x - (left + right) / 2), abs(y - (top + bottom) / 2))
        if off >= RADIUS * stride:
            continue
        counts = False
        area = (right - left) * (bottom - top)
        if starts[int(stride)] < max(sides) <= ends[int(stride)] and area < smallest:
            best, smallest = number, area
    return best, counts


@given(st.lists(st.tuples(*[st.integers(0, 500)] * 4, st.integers(-1, COUNT - 1)), max_size=5), st.randoms())
def test_cells_stand_for_objects_as_the_definition_says(drawn: list[tuple[int, ...]], random: object) -> None:
    # Eighths of a pixel and a bit, so that no two areas and no borders are equal.
    boxes = np.array(
        [[a / 8, b / 8, a / 8 + c / 8 + 0.51 + n / 64, b / 8 + d / 8 + 0.51 + n / 64] for n, (a, b, c, d, _) in
         enumerate(drawn)], np.float32,
    ).reshape(-1, 4)  # fmt: skip
    classes = np.array([one[4] for one in drawn], np.intp)
    rows = assigned(boxes, classes, GRID, COUNT)
    assert rows.shape == (len(GRID), 4 + 2 * (1 + COUNT))
    met = set()
    for row, cell in zip(rows, GRID, strict=True):
        best, counts = by_hand(boxes, classes, cell)
        if row[4] == 0:
            assert best == -1
            assert row[5 + COUNT] == counts
            assert not row[:4].any()
            assert not row[5 : 5 + COUNT].any()
            assert not row[6 + COUNT :].any()
            continue
        owner = int(np.flatnonzero((boxes == row[:4]).all(1))[0])
        met.add(owner)
        assert row[5 : 5 + COUNT].argmax() == classes[owner]
        assert row[5 : 5 + COUNT].sum() == 1
        assert row[5 + COUNT :].all()
    known = [n for n in range(len(boxes)) if classes[n] >= 0 and (boxes[n, 2:] - boxes[n, :2]).min() >= LEAST_PX]
    # Whoever has no cell lost each to a smaller one.
    if len(known) == 1:
        assert met == set(known)
    assert met <= set(known)
    order = np.random.default_rng(0).permutation(len(boxes))
    assert (assigned(boxes[order], classes[order], GRID, COUNT) == rows).all()


def free(size: int, decoded: bool) -> tuple[Graph, Array]:
    """A detector whose rows are one trained tensor."""
    grid = cells(size, size, (8, 16, 32))
    graph = Graph(outputs=["y"])
    build = Builder(graph, "net")
    graph.inputs["images"] = (("n", 3, size, size), np.dtype(np.float32))
    values = np.random.default_rng(4).normal(size=(len(grid), 5 + COUNT)).astype(np.float32)
    if decoded:
        values[:, 2:4] = np.abs(values[:, 2:4]) * 20 + 4
        values[:, :2] = values[:, :2] * 8 + 16
    graph.constants["rows"] = values
    nothing = build.add("Mul", build.add("ReduceMean", "images", axes=[1, 2, 3]), build.constant(np.float32(0)))
    flat = build.add("Add", build.add("Reshape", nothing, build.ints((-1, 1, 1))), "rows")
    boxes, sure = build.several("Split", flat, build.ints((4, 1 + COUNT)), outs=2, axis=2)
    build.add("Concat", boxes, build.add("Sigmoid", sure), axis=2, out="y")
    return graph, grid


def mathematics(
    rows: Array, wanted: Array, grid: Array, form: Boxes, cover: Array | None = None
) -> tuple[float, Array]:
    """The loss of one picture, and each cell's overlap; cover: it as the goal of classes takes it, held fast."""
    rows = rows.astype(np.float64)
    middles, sizes = rows[:, :2], rows[:, 2:4]
    if not form.decoded:
        middles, sizes = (middles + grid[:, :2]) * grid[:, 2:], np.exp(sizes) * grid[:, 2:]
    low, high = middles - sizes / 2, middles + sizes / 2
    inner = np.maximum(np.minimum(high, wanted[:, 2:4]) - np.maximum(low, wanted[:, :2]), 0).prod(1)
    union = (high - low).prod(1) + (wanted[:, 2:4] - wanted[:, :2]).prod(1) - inner
    hull = (np.maximum(high, wanted[:, 2:4]) - np.minimum(low, wanted[:, :2])).prod(1)
    overlap = inner / union
    giou = overlap - (hull - union) / hull
    p = 1 / (1 + np.exp(-rows[:, 4:]))
    goal, weight = wanted[:, 4 : 5 + COUNT].copy(), wanted[:, 5 + COUNT :].copy()
    mine = wanted[:, 4] > 0
    goal[:, 1:] *= np.maximum(overlap if cover is None else cover, LEAST_COVER)[:, None]
    known = np.array(form.labelled)
    if not known.all():
        theirs = p[:, 1:][:, ~known].max(1) > p[:, 1:][:, known].max(1)
        weight[theirs & ~mine, 0] = 0
    each = -(goal * np.log(p) + (1 - goal) * np.log(1 - p)) * weight
    total = max(mine.sum(), 1)
    return float((BOX_WEIGHT * (1 - giou)[mine].sum() + each.sum()) / total), overlap


@pytest.mark.parametrize("decoded", [False, True])
@pytest.mark.parametrize("labelled", [(True, True, True), (True, False, True)])
@pytest.mark.parametrize("empty", [False, True])
def test_the_loss_and_its_gradient_are_those_of_the_mathematics(
    decoded: bool, labelled: tuple[bool, ...], empty: bool
) -> None:
    graph, grid = free(32, decoded)
    boxes = np.array([[3, 4, 17, 15], [10, 12, 31, 30], [1, 1, 4, 5]], np.float32)[: 0 if empty else 3]
    wanted = assigned(boxes, np.array([0, 2, 2], np.intp)[: len(boxes)], grid, COUNT)
    assert (wanted[:, 4].sum() > 2) is not empty
    form = Boxes(decoded, labelled)
    compiled, state, _ = gradient_graph(graph, ["rows"], Recipe(1, "detection", boxes=form))
    (name, rows), *_ = state.items()
    feeds = {"images": np.zeros((1, 3, 32, 32), np.float32), "labels": wanted[None], **state}
    found = Evaluator(compiled)(feeds)
    rows = rows.reshape(len(grid), -1).astype(np.float64)
    loss, cover = mathematics(rows, wanted, grid, form)
    assert float(found["loss"]) == pytest.approx(loss, rel=1e-9)
    gradient = found[f"gradient.{name}"].reshape(rows.shape)
    for place in np.ndindex(rows.shape):
        moved = np.zeros_like(rows)
        moved[place] = 1e-6
        ahead, behind = (mathematics(rows + sign * moved, wanted, grid, form, cover)[0] for sign in (1, -1))
        assert gradient[place] == pytest.approx((ahead - behind) / 2e-6, abs=1e-6)


def test_a_network_that_is_no_such_detector_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LossUnfit, match="no detector of the layout yolox"):
        network_of(classifier(tmp_path / "net.onnx"))
    path = detector(tmp_path / "d.onnx")
    assert network_of(path) == Network("images", (SIZE, SIZE), LABELS, False)
    assert network_of(detector(tmp_path / "e.onnx", decoded=True)).decoded
    path.with_suffix(".toml").unlink()
    with pytest.raises(LossUnfit, match="3 classes apart and nothing names them"):
        network_of(path)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: [car, 'fire truck', \"bus\"]\nnc: 3\n", ("car", "fire truck", "bus")),
        ("path: ../x\nnames:\n  0: person  # on foot\n  1: bus\nnc: 2\n", ("person", "bus")),
        ("names:\n- person\n- bus\ntrain: images\n", ("person", "bus")),
        ("names: {0: person, 1: bus}", ("person", "bus")),
        ("names: [\n  car,\n  bus,\n]\n", ("car", "bus")),
    ],
)
def test_names_are_read_from_data_yaml(tmp_path: Path, text: str, names: tuple[str, ...]) -> None:
    (tmp_path / "data.yaml").write_text(text)
    assert names_in(tmp_path) == names


@pytest.mark.parametrize("text", ["nc: 2\n", "names:\n  1: bus\n", "names: []\n"])
def test_a_data_yaml_without_names_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(DataUnusable, match="names no classes"):
        names_in(tmp_path)


def test_labels_stand_beside_pictures_or_in_a_folder_beside_theirs() -> None:
    assert labels_of(Path("images/a.jpg")) == Path("labels/a.txt")
    assert labels_of(Path("train/images/x/a.b.png")) == Path("train/labels/x/a.b.txt")
    assert labels_of(Path("a.jpg")) == Path("a.txt")


NETWORK = Network("images", (SIZE, SIZE), LABELS, False)


def test_examples_are_letterboxed_and_classes_go_by_their_names(tmp_path: Path) -> None:
    squares(tmp_path / "data")
    examples, labelled = yolo(tmp_path / "data", NETWORK)
    assert labelled == (0, 1)
    assert len(examples.keys) == 40
    value, wanted = examples.load(examples.keys.index("images/0.png")).values()
    assert value.shape == (3, SIZE, SIZE)
    # 64 x 48 in 64 x 64: at the top, the rest filled.
    assert (value[:, 48:] == 114).all()
    line = (tmp_path / "data" / "labels" / "0.txt").read_text().split()
    x, y, wide, high = (float(one) for one in line[1:5])
    box = np.array([(x - wide / 2) * 64, (y - high / 2) * 48, (x + wide / 2) * 64, (y + high / 2) * 48])
    mine = wanted[wanted[:, 4] > 0]
    assert len(mine) > 0
    assert np.allclose(mine[:, :4], box, atol=1e-3)
    assert (mine[:, 5:8].argmax(1) == (1 if line[0] == "0" else 0)).all()
    # A picture with nothing is one to learn from: every cell counts as empty.
    _, nothing = examples.load(examples.keys.index("images/5.png")).values()
    assert not nothing[:, :5].any()
    assert nothing[:, 5 + COUNT].all()
    # One folder for both, and names that mean the network's.
    flat = tmp_path / "flat"
    flat.mkdir()
    for one in (*(tmp_path / "data" / "images").iterdir(), *(tmp_path / "data" / "labels").iterdir()):
        (flat / one.name).write_bytes(one.read_bytes())
    again, labelled = yolo(flat, NETWORK, ("pedestrian", "unicorn"))
    assert labelled == (2,)
    _, theirs = again.load(again.keys.index("0.png")).values()
    # What the network has no name for neither is there nor is not.
    assert (theirs[:, 4].sum() > 0) == (line[0] == "0")


def test_labels_that_can_not_be_used_are_told(tmp_path: Path) -> None:
    data = squares(tmp_path / "data")
    labels, images = data / "labels", data / "images"
    whole = (labels / "1.txt").read_text()

    def refused(network: Network = NETWORK, names: tuple[str, ...] = ()) -> str:
        with pytest.raises(DataUnusable) as found:
            yolo(data, network, names)
        return str(found.value)

    for line, said in (
        ("0 nan 0.5 0.1 0.1", "not finite"),
        ("0 0.5 0.5 0.1", "4 numbers"),
        ("0 1.4 0.5 0.1 0.1", "not lie in the picture"),
        ("0 0.5 0.5 0.0 0.1", "not lie in the picture"),
        ("0 a 0.5 0.1 0.1", "not four numbers"),
    ):
        (labels / "1.txt").write_text(line)
        (left_out,) = yolo(data, NETWORK)[0].left_out
        assert left_out.startswith("labels/1.txt, line 1: ")
        assert said in left_out
    (labels / "1.txt").write_text("2 0.5 0.5 0.1 0.1")
    assert "in line 1 the class is '2'" in refused()
    (labels / "1.txt").write_text(whole)
    held = (images / "2.png").read_bytes()
    (images / "2.png").write_bytes(held[: len(held) // 2])
    assert yolo(data, NETWORK)[0].left_out == ("images/2.png: it ends early",)
    (labels / "3.txt").unlink()
    assert yolo(data, NETWORK)[0].left_out[-1] == "1 pictures without a file of labels"
    assert "none of its classes (tree, cow)" in refused(names=("tree", "cow"))
    (data / "classes.txt").unlink()
    assert "names its classes" in refused()
    for one in labels.iterdir():
        one.write_text("")
    assert "no picture in it has a box" in refused(names=("car",))
    for one in list(images.iterdir())[:12]:
        one.write_bytes(b"")
    assert "pictures can't be used" in refused(names=("car",))
    for one in images.iterdir():
        one.unlink()
    assert "holds no pictures" in refused(names=("car",))


def test_precision_counts_what_is_judged_and_nothing_else() -> None:
    """Rows that say exactly what is there give 1; what is found in a box of an unknown class counts neither way."""
    truth = np.array([[8.0, 8, 24, 24], [30, 30, 60, 60]])
    rows = np.zeros((1, len(GRID), 5 + COUNT), np.float32)
    for place, box in enumerate(truth):
        rows[0, place, :4] = [*(box[:2] + box[2:]) / 2, *(box[2:] - box[:2])]
        rows[0, place, 4:6] = 0.9 - 0.1 * (1 - place)
    for classes, expected in (((0, 0), 1.0), ((0, -1), 1.0), ((0, 1), 0.5 * 0.5)):
        scorer = AveragePrecision(lambda _, c=classes: (truth, np.array(c)), GRID, True, (0, 1, 2))  # type: ignore[misc]
        assert scorer.add([0], rows, np.zeros(())) == 1
        assert scorer.score() == pytest.approx(expected)


def test_a_detector_learns_from_yolo_labels_and_serves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net, data, out = detector(tmp_path / "net.onnx"), squares(tmp_path / "data"), tmp_path / "out"
    words = ["run", net, "--data", data, "--out", out, "--loss", "detection", "--scheme", "full", "--epochs", 40]
    assert kinflow(["tune", *map(str, words), "--rate", "0.01", "--batch", "8", "--json"]) == 0
    judged = json.loads(capsys.readouterr().out)["judged"]
    assert judged[0]["ap50"] < 0.1
    assert judged[-1]["ap50"] > 0.6
    assert judged[-1]["loss"] < 0.5 * judged[0]["loss"]
    # Its manifest came along, with the hash of what was learnt; the agent's detector takes both.
    found = open_detector(out / "trained.onnx", least_score=0.2)
    image = cv2.imread(str(data / "images" / "0.png"))
    number, x, y, *_ = (data / "labels" / "0.txt").read_text().split()
    best = found.detect(image)[0]
    assert best.label == ("bus", "car")[int(number)]
    assert abs((best.box[0] + best.box[2]) / 2 - float(x) * 64) < 5
    assert abs((best.box[1] + best.box[3]) / 2 - float(y) * 48) < 5
    assert OnnxModel(out / "trained.onnx").signature.outputs[0].shape == (1, len(GRID), 5 + COUNT)


def test_the_shipped_detector_takes_a_step_and_serves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = squares(tmp_path / "data", count=4), tmp_path / "out"
    words = ["run", SHIPPED, "--data", data, "--out", out, "--loss", "detection", "--scheme", "deep", "--epochs", 1]
    assert kinflow(["tune", *map(str, words), "--batch", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["whole"]
    assert told["judged"][-1]["loss"] < told["judged"][0]["loss"]
    before, after = open_detector(), open_detector(out / "trained.onnx")
    assert (after.labels, dict(after.thresholds)) == (before.labels, dict(before.thresholds))
    after.detect(cv2.imread(str(data / "images" / "0.png")))


def test_a_plan_for_a_detector(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = detector(tmp_path / "net.onnx", decoded=True)
    words = ["plan", net, "--loss", "detection", "--scheme", "head", "--batch", 2, "--json"]
    assert kinflow(["tune", *map(str, words)]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["step_ms"] > 0
