"""`python -m models.training.kin.calibrate QUESTIONS`: fit the confidence of the understanding, and of the members' own
text (standing.py), to held-back questions.

The confidence is a logistic regression on what is seen when a choice is made (`Resolved.features`). The threshold is
the least confidence at which few enough choices are sure and wrong, found on questions that the fit has not seen: the
questions are cut into folds, and each is judged by a fit to the others. A choice of no tool has a threshold of its own:
nothing is done on it, so it is as sure as the share of such choices that are right allows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import typer
from numpy.typing import NDArray

from models.assistant.opening import CALIBRATION, open_understanding
from models.assistant.tools import Tool, equal_arguments
from models.assistant.understanding.choice import Entities
from models.assistant.understanding.confidence import Calibration
from models.assistant.understanding.kin import KinUnderstanding
from models.family.shipped import FOLDER
from models.training.kin.standing import calibrate
from node.home import find_home

FOLDS, RIDGE = 5, 1e-2
# What is aimed at on held-back questions; the bar for strangers' questions is 3 %.
MOST_SURE_AND_WRONG = 0.018
# Of these, as many may be choices of no tool where another was meant.
MOST_WRONG_NONE = 0.003
Values = NDArray[np.float64]
EMPTY = Calibration(weights=(), threshold=1.0, held_back=0, sure_and_wrong=1.0)


def fit(features: Values, right: Values) -> Values:
    """Newton's steps on the likelihood, weights drawn to 0, the constant last. features: questions x features."""
    inputs = np.concatenate((features, np.ones((len(features), 1))), 1)
    weights = np.zeros(inputs.shape[1])
    ridge = np.full(inputs.shape[1], RIDGE * len(features))
    ridge[-1] = 1e-6
    for _ in range(60):
        chances = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        slope = inputs.T @ (chances - right) + ridge * weights
        bend = (inputs * (chances * (1 - chances))[:, None]).T @ inputs + np.diag(ridge)
        step = np.linalg.solve(bend + 1e-9 * np.eye(len(bend)), slope)
        weights -= step
        if np.abs(step).max() < 1e-9:
            break
    return weights


def crossed(features: Values, right: Values) -> Values:
    """The confidence in each choice, by a fit that has not seen it."""
    order = np.random.default_rng(1).permutation(len(right))
    confidence = np.empty(len(right))
    for fold in range(FOLDS):
        held = order[fold::FOLDS]
        others = np.setdiff1d(order, held)
        weights = fit(features[others], right[others])
        confidence[held] = 1 / (1 + np.exp(-np.clip(features[held] @ weights[:-1] + weights[-1], -30, 30)))
    return confidence


def least_threshold(confidence: Values, wrong: NDArray[np.bool_], most: float) -> float:
    """wrong: of the choices that the threshold is for. most: of them among all choices."""
    for threshold in np.unique(np.round(confidence, 4)):
        if ((confidence >= threshold) & wrong).mean() <= most:
            return float(threshold)
    return 1.0


def observed(understanding: KinUnderstanding, rows: list[dict[str, Any]]) -> tuple[Values, Values, NDArray[np.bool_]]:
    """Features, whether the choice is right, and whether it is of no tool."""
    features, right, none = [], [], []
    for row in rows:
        made = understanding.resolved(row["question"], msgspec.convert(row["entities"], Entities))
        features.append(made.features)
        right.append(made.tool == Tool(row["tool"]) and equal_arguments(row["arguments"], made.arguments))
        none.append(made.tool is Tool.NONE)
    return np.array(features), np.array(right, float), np.array(none)


def main(
    questions: Annotated[Path, typer.Argument(help="Lines of {question, entities, tool, arguments}.")],
    folder: Annotated[Path, typer.Option(help="The shipped family's.")] = FOLDER,
    most: Annotated[float, typer.Option(help="Share that may be sure and wrong.")] = MOST_SURE_AND_WRONG,
) -> None:
    rows = [json.loads(line) for line in questions.read_text().splitlines() if line.strip()]
    path = folder / CALIBRATION
    # Opened without one that may be of other features.
    path.write_bytes(msgspec.json.encode(EMPTY))
    understanding = open_understanding(find_home(), folder)
    assert isinstance(understanding, KinUnderstanding)
    features, right, none = observed(understanding, rows)
    confidence, wrong = crossed(features, right), right == 0
    none_threshold = least_threshold(confidence, wrong & none, min(most, MOST_WRONG_NONE))
    wrong_none = float((wrong & none & (confidence >= none_threshold)).mean())
    threshold = least_threshold(confidence, wrong & ~none, most - wrong_none)
    sure = confidence >= np.where(none, none_threshold, threshold)
    told = Calibration(
        weights=tuple(round(float(one), 5) for one in fit(features, right)),
        threshold=round(threshold, 4),
        none_threshold=round(none_threshold, 4),
        held_back=len(rows),
        sure_and_wrong=round(float((sure & (right == 0)).mean()), 4),
    )
    path.write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=1) + b"\n")
    print(f"right {right.mean():.4f}; abstained {1 - sure.mean():.4f}; sure and wrong {told.sure_and_wrong:.4f}")
    print(f"mean confidence {confidence.mean():.4f}; threshold {threshold:.4f}, of no tool {none_threshold:.4f}")
    understanding.close()
    for name, one in calibrate(find_home(), folder, [row["question"] for row in rows]).items():
        print(f"text of {name}: stands from {one.threshold:.4f} on, at temperature {one.temperature}")


if __name__ == "__main__":
    typer.run(main)
