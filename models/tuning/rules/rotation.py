"""Rotary positions: each pair of numbers is turned by an angle, and on the way back by the same angle the other way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.tuning.graph import MICROSOFT
from models.tuning.rules import Call, NoRule, rule


@rule("RotaryEmbedding")
def rotary_embedding(call: Call) -> Sequence[str]:
    """Of onnxruntime. Su and others 2021, arXiv 2104.09864, section 3.4.2."""
    sine = call.value(3)
    if sine is None:
        raise NoRule("its angles are not constant")
    if float(call.attribute("scale", 1.0)) != 1.0:
        raise NoRule("it scales what it turns")
    back = call.build.constant(np.negative(sine))
    turned = call.add(
        "RotaryEmbedding", call.dy[0], *call.x[1:3], back, domain=MICROSOFT, **call.node.attributes
    )  # fmt: skip
    return [turned, "", "", ""]
