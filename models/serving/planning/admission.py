"""Whether a request may wait, and when it is worth asking again."""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.serving.planning.request import Request
from models.serving.planning.step_time import StepTime, work

MOST_S = 3_600


def wait_s(ahead: Sequence[Request], speaks_left: Sequence[int], time: StepTime, sequences: int) -> float:
    """Until a sequence is free for one who asks now, as far as is known: the prompts ahead one after the other, and the
    answers as many at once as there are sequences. speaks_left: of each request ahead, how many tokens it may still
    say."""
    if not ahead:
        return 0.0
    prompts_s = time.row_s * sum(one.prompt_left for one in ahead)
    contexts = sorted(one.context for one in ahead)[:sequences]
    step_s = time.expected_s(sum((work(1, one) for one in contexts[1:]), work(1, contexts[0])))
    rounds = sum(speaks_left) / max(1, sequences)
    return prompts_s + step_s * rounds


def retry_after_s(seconds: float) -> int:
    """As HTTP says it: whole seconds, at least one."""
    return min(MOST_S, max(1, math.ceil(seconds)))
