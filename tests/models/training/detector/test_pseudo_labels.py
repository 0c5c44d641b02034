"""The teacher speaks where a set is silent, and nowhere else."""

from __future__ import annotations

import numpy as np

from models.training.detector.pseudo_labels import combine, merge, suppress
from models.training.detector.targets import hard
from models.vision.detector import LABELS, Label

HERE, THERE = (10.0, 10.0, 60.0, 50.0), (100.0, 10.0, 160.0, 60.0)


def scores(**of: float) -> np.ndarray:
    row = np.zeros(len(LABELS), np.float32)
    for label, value in of.items():
        row[LABELS.index(label)] = value  # type: ignore[arg-type]
    return row


def boxes(*each: tuple[float, ...]) -> np.ndarray:
    return np.array(each, np.float32)


def given(*labels: Label):
    return hard(boxes(*[HERE] * len(labels)), labels)


def test_a_teachers_truck_on_a_labelled_ambulance_says_nothing() -> None:
    labels = given("ambulance")
    again = combine(labels, boxes(HERE), np.stack([scores(truck=0.9)]))
    assert len(again) == 1
    assert LABELS[int(again.classes[0].argmax())] == "ambulance"
    part = (20.0, 15.0, 45.0, 40.0)
    assert len(combine(labels, boxes(part), np.stack([scores(car=0.9)]))) == 1
    # Whoever stands before it is somebody.
    assert len(combine(labels, boxes(part), np.stack([scores(person=0.9)]))) == 2


def test_what_a_set_does_not_label_is_taught() -> None:
    told = combine(given("car"), boxes(THERE), np.stack([scores(bus=0.6, truck=0.2)]))
    assert told.solid.tolist() == [True, True]
    assert LABELS[int(told.classes[1].argmax())] == "bus"
    assert 0 < told.classes[1, LABELS.index("truck")] < told.classes[1, LABELS.index("bus")] <= 1
    assert told.known[1, LABELS.index("fire_engine")] == 0
    assert told.known[1, LABELS.index("police_car")] == 1


def test_a_class_that_the_picture_labels_is_doubted_elsewhere_and_believed_where_it_labels_none() -> None:
    car = np.stack([scores(car=0.9)])
    assert combine(given("car"), boxes(THERE), car).solid.tolist() == [True, False]
    assert combine(given("ambulance"), boxes(THERE), car).solid.tolist() == [True, True]


def test_weak_hints_are_doubts_and_weaker_ones_nothing() -> None:
    assert combine(given("car"), boxes(THERE), np.stack([scores(person=0.2)])).solid.tolist() == [True, False]
    assert len(combine(given("car"), boxes(THERE), np.stack([scores(person=0.02)]))) == 1
    assert len(combine(given("car"), boxes()[:0].reshape(0, 4), np.zeros((0, len(LABELS)), np.float32))) == 1


def test_views_that_agree_are_merged_and_a_lone_one_is_trusted_less() -> None:
    near = tuple(value + 2 for value in HERE)
    seen = boxes(HERE, near, HERE, THERE)
    told = np.stack([scores(car=0.8), scores(car=0.8), scores(car=0.5), scores(car=0.6)])
    merged, means = merge(seen, told, views=3)
    assert len(merged) == 2
    assert 10 < merged[0][0] < 12
    assert means[0].max() == np.float32(0.7)
    assert means[1].max() < 0.6
    assert len(merge(seen[:0], told[:0], 3)[0]) == 0


def test_of_a_heap_the_best_stays_whatever_its_class() -> None:
    assert suppress(boxes(HERE, HERE, THERE), np.stack([scores(car=0.4), scores(truck=0.7), scores(bus=0.2)])) == [1, 2]
