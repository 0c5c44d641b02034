"""Networks of one's own: what opens, what is refused and with which words, and what a manifest adds."""

from __future__ import annotations

import os
import tomllib
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

from models.errors import LabelsLacking, LayoutUnknown, ModelUnfit, ModelUnreadable
from models.vision.names import COCO_80, COCO_91, label_of
from models.vision.opening import SHIPPED, USUAL_THRESHOLD, open_detector
from models.vision.requires import require
from tests.models.vision.onnx_writer import INT64, Graph
from tests.models.vision.square_nets import NAMES, rfdetr, yolox


def picture(columns: int = 416, rows: int = 416) -> np.ndarray:
    made = np.zeros((rows, columns, 3), np.uint8)
    made[100:132, 196:228] = (255, 0, 0)
    return made


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return yolox(tmp_path / "net.onnx")


def manifest(net: Path, text: str) -> Path:
    net.with_suffix(".toml").write_text(text)
    return net


def test_names_are_the_persons_own_words(net: Path) -> None:
    detector = open_detector(net, names=["Fire truck", "zebra", "auto-rickshaw"])
    assert detector.labels == {"fire_engine", "other_vehicle"}
    assert [one.label for one in detector.detect(picture())] == ["fire_engine"]


def test_classes_that_mean_one_label_are_one(net: Path) -> None:
    detector = open_detector(net, names=["lorry", "truck", "person"])
    assert detector.labels == {"truck", "person"}
    both = picture()
    both[100:132, 196:228] = (255, 255, 0)
    assert [one.label for one in detector.detect(both)] == ["truck"]


def test_coco_needs_no_names(tmp_path: Path) -> None:
    coco = open_detector(yolox(tmp_path / "coco.onnx", order=[1] * 2 + [0] + [1] * 77))
    assert coco.labels == {"car", "bus", "truck", "motorcycle", "bicycle", "person"}
    assert coco.detect(picture())[0].label == "car"
    assert set(coco.thresholds.values()) == {USUAL_THRESHOLD}


def test_cocos_own_ids_stand_where_they_belong() -> None:
    assert len(COCO_80) == 80
    assert (COCO_91[1], COCO_91[3], COCO_91[6], COCO_91[8], COCO_91[90]) == (
        *("person", "car", "bus", "truck", "toothbrush"),
    )
    assert [one for one in COCO_91 if one] == list(COCO_80)


@pytest.mark.parametrize(
    ("name", "label"),
    [("Car", "car"), ("police car", "police_car"), (" Motorbike ", "motorcycle"), ("traffic light", None), ("", None)],
)
def test_what_a_name_means(name: str, label: str | None) -> None:
    assert label_of(name) == label


def test_less_sure_things_are_told_when_asked_for(net: Path) -> None:
    shifted = np.roll(picture(), 4, axis=1)
    usual, eager = open_detector(net, names=NAMES), open_detector(net, names=NAMES, least_score=0.01)
    assert min(one.score for one in usual.detect(shifted)) >= USUAL_THRESHOLD
    assert len(eager.detect(shifted)) > len(usual.detect(shifted))


def test_a_manifest_tells_all(net: Path) -> None:
    hashed = sha256(net.read_bytes()).hexdigest()
    manifest(
        net,
        'name = "squares"\nlayout = "yolox"\nlabels = ["car", "ambulance", "person"]\ninput = [416, 416]\n'
        f'sha256 = "{hashed}"\nsynthetic_only = ["ambulance"]\nlicence = "Apache-2.0"\ncredits = ["us"]\n'
        "[thresholds]\ncar = 0.4\nambulance = 0.6\nperson = 0.2\n",
    )
    detector = open_detector(net)
    assert detector.name == "squares"
    assert detector.thresholds == {"car": 0.4, "ambulance": 0.6, "person": 0.2}
    assert detector.synthetic_only == {"ambulance"}
    assert open_detector(net, names=["bus", "truck", "car"]).labels == {"bus", "truck", "car"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "manifest"),
        ('name = "x"\n', "labels"),
        ('name = "x"\nlabels = ["car", "ambulance", "person"]\ncolour = "red"\n', "colour"),
        ('name = "x"\nlabels = ["car", "ambulance", "person"]\n[thresholds]\nbus = 0.4\n', "'bus'"),
        ('name = "x"\nlabels = ["car", "ambulance", "person"]\n[thresholds]\ncar = 40\n', "thresholds"),
        ('name = "x"\nlabels = ["car", "ambulance", "person"]\nsha256 = "00"\n', "hash differs"),
        ('name = "x"\nlabels = ["car", "ambulance", "person"]\noverlap = 0\n', "overlap"),
        ("\x00", "manifest"),
    ],
)
def test_a_wrong_manifest_is_refused(net: Path, text: str, said: str) -> None:
    with pytest.raises(ModelUnreadable, match=said):
        open_detector(manifest(net, text))


def test_files_that_are_no_networks(tmp_path: Path) -> None:
    for content in (b"", b"not a network", b"\x08\x08", yolox(tmp_path / "whole.onnx").read_bytes()[:500]):
        path = tmp_path / "net.onnx"
        path.write_bytes(content)
        with pytest.raises(ModelUnreadable, match=r"net\.onnx"):
            open_detector(path)
    with pytest.raises(ModelUnreadable, match="no such file"):
        open_detector(tmp_path / "gone.onnx")


def test_an_unknown_layout_is_told_with_its_shapes(tmp_path: Path) -> None:
    graph = Graph()
    graph.add("ReduceMean", graph.input("x", [1, 3, 64, 64]), out="y", axes=[2, 3], keepdims=0)
    graph.output("y", [1, 3])
    with pytest.raises(LayoutUnknown, match=r"x 1x3x64x64 float32.*y 1x3 float32.*yolox"):
        open_detector(graph.write(tmp_path / "net.onnx"), names=NAMES)


def test_a_layout_can_be_named_and_must_fit(net: Path) -> None:
    assert open_detector(net, layout="yolox", names=NAMES).labels == set(NAMES)
    with pytest.raises(ModelUnfit, match="not of the layout nanodet"):
        open_detector(net, layout="nanodet", names=NAMES)
    with pytest.raises(ModelUnfit, match="no layout 'yolov99'"):
        open_detector(net, layout="yolov99", names=NAMES)


def test_names_must_be_as_many_as_classes(net: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnfit, match="3 classes apart, and 2 names"):
        open_detector(net, names=["car", "bus"])
    with pytest.raises(ModelUnfit, match="3 classes apart, and nothing names them"):
        open_detector(net)
    with pytest.raises(ModelUnfit, match="none of its classes"):
        open_detector(net, names=["cat", "dog", "cow"])
    with pytest.raises(ModelUnfit, match="3 classes apart"):
        open_detector(rfdetr(tmp_path / "detr.onnx"), names=["car"])


def test_sizes_left_open_need_a_manifest(tmp_path: Path) -> None:
    net = yolox(tmp_path / "net.onnx", shape=["batch", 3, "height", "width"])
    with pytest.raises(ModelUnfit, match=r"leaves sizes open \(batchx3xheightxwidth\)"):
        open_detector(net, names=NAMES)
    detector = open_detector(manifest(net, 'name = "open"\nlabels = ["car", "bus", "person"]\ninput = [416, 416]\n'))
    assert [one.label for one in detector.detect(picture())] == ["car"]
    # Its own arithmetic is made for 416.
    with pytest.raises(ModelUnfit, match="fails on a grey picture"):
        open_detector(manifest(net, 'name = "open"\nlabels = ["car", "bus", "person"]\ninput = [320, 320]\n'))


def test_pictures_of_other_numbers_are_not_taken(tmp_path: Path) -> None:
    graph = Graph()
    graph.add("Cast", graph.input("x", [1, 3, 64, 64], INT64), out="y", to=1)
    graph.output("y", [1, 3, 64, 64])
    with pytest.raises(ModelUnfit, match="x takes pictures of int64"):
        open_detector(graph.write(tmp_path / "net.onnx"), names=NAMES)


def test_a_batch_left_open_is_one(tmp_path: Path) -> None:
    net = yolox(tmp_path / "net.onnx", shape=["batch", 3, 416, 416])
    assert open_detector(net, names=NAMES).detect(picture())


def test_a_manifests_size_must_be_the_networks(net: Path) -> None:
    with pytest.raises(ModelUnfit, match="416"):
        open_detector(manifest(net, 'name = "x"\nlabels = ["car", "bus", "person"]\ninput = [320, 320]\n'))


@pytest.mark.parametrize(
    "image", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3)), np.zeros((0, 9, 3), "u1")]
)
def test_what_is_no_picture_is_refused(net: Path, image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a picture is"):
        open_detector(net, names=NAMES).detect(image)


def test_a_feature_is_refused_by_the_names_that_it_lacks(net: Path) -> None:
    detector = open_detector(net, names=["car", "bus", "person"])
    require(detector, "counting", ["car", "bus"])
    with pytest.raises(LabelsLacking, match="emergency needs ambulance, fire_engine, which the detector net"):
        require(detector, "emergency", {"fire_engine", "ambulance", "car"})


def test_onnxruntime_reports_to_nobody(repository: Path) -> None:
    """Its makers' builds do from 1.29 on, unless this is set before they are loaded."""
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    extras = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (needed,) = (one for one in extras["agent"] if one.startswith("onnxruntime"))
    assert not Requirement(needed).specifier.contains("1.29.0")
    assert Requirement(needed).specifier.contains(version("onnxruntime"))


@pytest.mark.skipif(not SHIPPED.is_file(), reason="no weights are shipped yet")
def test_the_shipped_one_opens() -> None:
    assert open_detector().detect(picture()) is not None
