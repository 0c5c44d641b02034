"""Products of which some input channels are trained (models.tuning.sampling)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from models.tuning.graph import Node
from models.tuning.rules import Call, all_rules, rule


@rule("SampledConv", "SampledGemm", "SampledMatMul")
def sampled(call: Call) -> Sequence[str]:
    """To the input as without sampling; to the weights only for the channels that are trained."""
    x, weight, some, part, *rest = call.x
    to_x, _, _, to_part, *to_rest = call.wanted
    op = call.node.op.removeprefix("Sampled")
    whole = Node(op, [x, weight, *rest], call.y, call.node.attributes, "", call.node.name)
    product = all_rules()[op]
    given = product(replace(call, node=whole, wanted=(to_x, False, *to_rest)))
    own = product(replace(call, node=replace(whole, inputs=[some, part]), wanted=(False, to_part)))
    return [given[0], "", "", own[1], *given[2:]]
