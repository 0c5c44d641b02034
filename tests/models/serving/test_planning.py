"""The laws of planning, by simulation: nobody who speaks is left out, no step is over its budget, no work is left
undone while there is room, nobody starves, and gaps stay within what was promised where that is possible at all."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.serving.planning.admission import retry_after_s, wait_s
from models.serving.planning.baselines import first_come_whole, slot_order
from models.serving.planning.budget import CHEAPER_DOWN, LEAST_ROWS, STRETCH
from models.serving.planning.order import PATIENCE, is_patient
from models.serving.planning.planner import plan
from models.serving.planning.request import Plan, Request
from models.serving.planning.step_time import (
    LEAST_MARGIN,
    MOST_MARGIN,
    NOTHING,
    ROW_BY_ROW,
    SEEN_FOR_MARGIN,
    TILE_ROWS,
    StepTime,
    Work,
    work,
)

MOST_ROWS = 512


def seconds(done: Work) -> float:
    """A machine that takes so long: the research note's pilot, with attention."""
    return 0.028 + 0.0057 * done.all_rows + 2e-7 * (done.pairs + done.read)


def learnt(steps: int = 60, seed: int = 0) -> StepTime:
    random = np.random.default_rng(seed)
    time = StepTime()
    for _ in range(steps):
        done = work(int(random.integers(2, 300)), int(random.integers(0, 4000)))
        time = time.learnt(done, seconds(done))
        speaking = sum((work(1, int(random.integers(0, 4000))) for _ in range(random.integers(1, 16))), start=NOTHING)
        time = time.learnt(speaking, seconds(speaking))
    return time


class House:
    """Requests through steps of a machine; says: how many tokens each one says."""

    def __init__(self, requests: list[Request], says: list[int], decide=None) -> None:
        self.now_s = 0.0
        self.time = learnt()
        self.to_come = sorted(requests, key=lambda one: one.arrived_s)
        self.here: dict[int, Request] = {}
        self.says = {one.name: left for one, left in zip(requests, says, strict=True)}
        self.given: dict[str, float] = {}
        self.gaps: list[float] = []
        self.first_s: dict[int, float] = {}
        self.mean_gap_s: dict[int, float] = {}
        self.plans: list[tuple[list[Request], Plan]] = []
        self.moments: list[float] = []
        self._decide = decide or (lambda requests, now_s: plan(requests, self.time, self.given, MOST_ROWS, now_s))

    def run(self, most_steps: int = 100_000) -> None:
        for _ in range(most_steps):
            while self.to_come and self.to_come[0].arrived_s <= self.now_s:
                one = self.to_come.pop(0)
                self.here[one.name] = one
            if not self.here:
                if not self.to_come:
                    return
                self.now_s = self.to_come[0].arrived_s
                continue
            self._step()
        raise AssertionError(f"still at work: {self.here}")

    def _step(self) -> None:
        requests = list(self.here.values())
        found = self._decide(requests, self.now_s)
        self.plans.append((requests, found))
        self.moments.append(self.now_s)
        done = NOTHING
        for share in found.shares:
            done += work(share.rows, self.here[share.name].context)
        assert done.all_rows > 0, "a step without work"
        took_s = seconds(done)
        self.now_s += took_s
        self.time = self.time.learnt(done, took_s)
        for name in found.relegated:
            self.here[name] = replace(self.here[name], relegated=True)
        for share in found.shares:
            self._take(self.here[share.name], share.rows)

    def _take(self, one: Request, rows: int) -> None:
        self.given[one.tenant] = self.given.get(one.tenant, 0.0) + rows
        left = max(0, one.prompt_left - rows)
        after = replace(one, prompt_left=left, context=one.context + rows)
        if left == 0:
            if one.spoke_s is not None:
                self.gaps.append(self.now_s - one.spoke_s)
            else:
                self.first_s[one.name] = self.now_s - one.arrived_s
            self.says[one.name] -= 1
            first_s = self.now_s if one.first_s is None else one.first_s
            after = replace(after, spoke_s=self.now_s, first_s=first_s, said=one.said + 1, may_say=self.says[one.name])
            if self.says[one.name] == 0:
                self.mean_gap_s[one.name] = (self.now_s - first_s) / max(1, one.said)
                del self.here[one.name]
                return
        self.here[one.name] = after


def request(name: int, arrived_s: float = 0.0, prompt: int = 100, *, tenant: str = "a", due_s: float = 5.0,
            gap_s: float = 0.4, spoke_s: float | None = None, context: int = 0) -> Request:  # fmt: skip
    return Request(name, tenant, arrived_s, prompt, context, arrived_s + due_s, gap_s, spoke_s)


houses = st.lists(
    st.tuples(
        st.floats(0, 20), st.integers(1, 3000), st.integers(1, 30), st.sampled_from("abc"), st.floats(0.05, 2.0),
        st.floats(0.5, 60.0),
    ),
    min_size=1, max_size=12,
)  # fmt: skip


def house(drawn, pace_s: float = math.inf) -> House:
    requests = [
        replace(request(name, arrived, prompt, tenant=tenant, gap_s=gap, due_s=due), pace_s=pace_s)
        for name, (arrived, prompt, _, tenant, gap, due) in enumerate(drawn)
    ]
    return House(requests, [one[2] for one in drawn])


@settings(max_examples=60, deadline=None)
@given(houses)
def test_the_laws_of_every_step(drawn):
    run = house(drawn)
    run.run()
    for requests, found in run.plans:
        rows = {share.name: share.rows for share in found.shares}
        assert len(rows) == len(found.shares), "one piece of each"
        assert all(rows.get(one.name) == 1 for one in requests if one.speaks), "who speaks is in every step"
        assert found.rows <= found.budget <= MOST_ROWS
        waiting = {one.name: one.prompt_left for one in requests if not one.speaks}
        given_rows = sum(rows.get(name, 0) for name in waiting)
        assert all(rows.get(name, 1) <= left for name, left in waiting.items())
        room = found.budget - sum(one.speaks for one in requests)
        if not _ends_with_it(waiting, rows):
            unused = min(room, sum(waiting.values())) - given_rows
            spares = any(waiting[name] - rows[name] == TILE_ROWS for name in waiting if name in rows)
            assert unused < TILE_ROWS * spares or not unused, "no room is left while somebody waits"
            assert not waiting or given_rows >= min(LEAST_ROWS, sum(waiting.values()))


def _ends_with_it(waiting: dict[int, int], rows: dict[int, int]) -> bool:
    """Whether nothing but prompts that are whole with this step is in it: then room may be left."""
    found = [name for name in waiting if name in rows]
    return bool(found) and all(rows[name] == waiting[name] for name in found)


@settings(max_examples=60, deadline=None)
@given(houses, st.floats(0.04, 0.3))
def test_prompts_wait_for_a_pace_only_until_they_have_been_patient(drawn, pace_s):
    run = house(drawn, pace_s)
    run.run()
    for now_s, (requests, found) in zip(run.moments, run.plans, strict=True):
        rows = {share.name: share.rows for share in found.shares}
        assert all(rows.get(one.name) == 1 for one in requests if one.speaks), "who speaks is in every step"
        assert found.rows <= found.budget <= MOST_ROWS
        waiting = [one for one in requests if not one.speaks]
        given_rows = sum(rows.get(one.name, 0) for one in waiting)
        if waiting and len(waiting) == len(requests):
            assert given_rows, "nobody speaks, and a prompt waits"
        if any(is_patient(one, now_s) and rows.get(one.name, 0) < one.prompt_left for one in waiting):
            assert given_rows >= min(LEAST_ROWS, sum(one.prompt_left for one in waiting))


@pytest.mark.parametrize("rate_per_s", [0.6, 0.8, 1.0])
def test_more_answers_keep_first_token_and_pace_than_in_llama_servers_order(rate_per_s):
    """A stream of short and long prompts, on the pilot's machine: an answer is good if its first token came in time and
    its mean gap is at most five steps alone."""

    def good(decide=None) -> int:
        random = np.random.default_rng(3)
        arrived = np.cumsum(random.exponential(1 / rate_per_s, 120))
        prompts = [
            int(random.integers(200, 900) if random.random() < 0.2 else random.integers(20, 120)) for _ in arrived
        ]
        pace_s = 5 * seconds(work(1, 0))
        asked = [
            replace(request(name, float(at), prompt, due_s=1 + 5 * seconds(work(prompt, 0))), pace_s=0.8 * pace_s)
            for name, (at, prompt) in enumerate(zip(arrived, prompts, strict=True))
        ]
        run = House(asked, [int(one) for one in random.integers(4, 40, len(asked))], decide)
        run.run()
        return sum(
            run.first_s[one.name] <= one.due_s - one.arrived_s and run.mean_gap_s.get(one.name, 0.0) <= pace_s
            for one in asked
        )

    theirs = max(good(lambda requests, _, most=most: slot_order(requests, most)) for most in (64, 128, 512, 2048))
    assert good() > 1.2 * theirs


@settings(max_examples=40, deadline=None)
@given(houses)
def test_a_gap_is_kept_wherever_a_step_of_the_least_prompt_fits_into_it(drawn):
    """Who speaks waits longer than promised only because of other speakers or the least piece of a prompt."""
    run = house(drawn)
    run.run()
    for requests, found in run.plans:
        speaking = [one for one in requests if one.speaks]
        prompt = sum(share.rows for share in found.shares) - len(speaking)
        if speaking and prompt > LEAST_ROWS:
            slack_s = min(one.gap_s for one in speaking)
            longest_s = STRETCH * slack_s if prompt == 2 * TILE_ROWS else slack_s
            assert found.expected_s <= longest_s + 1e-6, "more than the least was given although it did not fit"


@settings(max_examples=30, deadline=None)
@given(houses, st.integers(200, 1500))
def test_nobody_starves_behind_others_that_keep_coming(drawn, prompt):
    """One long prompt that is late, and short ones for ever: it comes once it has been patient."""
    late = request(1000, 0.0, prompt, due_s=0.5)
    others = [request(at, 0.05 * at, 40, due_s=30.0) for at in range(300)]
    extra = [request(2000 + at, one[0], one[1], due_s=one[5]) for at, one in enumerate(drawn)]
    run = House([late, *others, *extra], [5] + [2] * len(others) + [1] * len(extra))
    run.run()
    assert 1000 in run.first_s
    everything_s = 2 * sum(seconds(work(one.prompt_left, 0)) for one in extra)
    assert run.first_s[1000] < PATIENCE * 0.5 + everything_s + 20 * seconds(work(prompt, 0)) + 10


def test_stalls_are_a_tenth_of_llama_servers_and_the_first_token_is_hardly_later():
    """The pilot's case: sixteen speak, and a long prompt comes."""

    def case(decide=None) -> House:
        speakers = [request(at, 0.0, 8, gap_s=0.5) for at in range(16)]
        long = [request(100, 2.0, 4096, gap_s=0.5, due_s=60.0)]
        return House([*speakers, *long], [60] * 16 + [20], decide)

    ours, theirs = case(), case(lambda requests, _: slot_order(requests, 2048))
    ours.run()
    theirs.run()
    assert max(ours.gaps) < 0.1 * max(theirs.gaps)
    assert ours.first_s[100] < 1.25 * theirs.first_s[100]


def beside_sixteen(context: int, gap_s: float, per_pair: float = 1.7e-6) -> tuple[Plan, StepTime, Work]:
    """A prompt behind so many tokens beside sixteen who speak, on the machine of docs/decisions/0019."""
    random = np.random.default_rng(0)
    speaking = sum((work(1, 200) for _ in range(16)), start=NOTHING)
    time = StepTime()
    for _ in range(60):
        done = work(int(random.integers(2, 300)), int(random.integers(0, 10_000)))
        time = time.learnt(speaking, 0.25).learnt(done, 0.02 + 0.009 * done.rows + per_pair * done.pairs)
    speakers = [replace(request(at, 0.0, 0, spoke_s=10.0, gap_s=gap_s), context=200) for at in range(16)]
    prompt = request(100, 9.9, 4096, due_s=600.0, context=context)
    return plan([*speakers, prompt], time, {}, MOST_ROWS, 10.0), time, speaking


@pytest.mark.parametrize("context", [0, 2_000, 4_000, 8_000, 32_000])
def test_a_piece_is_whole_lots_of_fused_attention_where_that_is_cheaper(context):
    """No piece of fewer lots is much cheaper a row; none in the same lots is cheaper."""
    for gap_s in np.linspace(0.5, 8.0, 40):
        found, time, speaking = beside_sixteen(context, float(gap_s))
        rows = found.rows - 16
        each_s = found.expected_s / rows
        for fewer in {one for one in (rows - rows % TILE_ROWS, rows - 1) if one >= TILE_ROWS}:
            other_s = time.expected_s(speaking + work(fewer, context)) / fewer
            assert CHEAPER_DOWN * each_s <= other_s + 1e-9


@given(st.integers(65, 600), st.floats(0.5, 4.0))
def test_a_prompt_does_not_end_with_a_piece_that_is_attended_to_row_by_row_unless_a_small_one(prompt, gap_s):
    time, context, pieces, rooms = learnt(), 8_000, [], []
    speakers = [replace(request(at, 0.0, 0, spoke_s=10.0, gap_s=gap_s), context=200) for at in range(16)]
    while prompt:
        found = plan([*speakers, request(100, 9.9, prompt, due_s=600.0, context=context)], time, {}, MOST_ROWS, 10.0)
        pieces.append(found.rows - 16)
        rooms.append(found.budget - 16)
        prompt, context = prompt - pieces[-1], context + pieces[-1]
    if min(rooms) >= 2 * TILE_ROWS:
        assert pieces[-1] >= TILE_ROWS or pieces[-1] <= TILE_ROWS / ROW_BY_ROW


def test_behind_many_tokens_two_lots_go_in_where_one_would_leave_too_much_to_those_who_speak():
    gap_s = 10 * 0.25
    deep, *_ = beside_sixteen(8_000, gap_s)
    assert deep.rows == 16 + 2 * TILE_ROWS
    assert gap_s < deep.expected_s < STRETCH * gap_s
    deeper, *_ = beside_sixteen(30_000, gap_s)
    assert deeper.rows == 16 + TILE_ROWS, "two would be a stall"
    cheap, *_ = beside_sixteen(8_000, gap_s, per_pair=1e-8)
    assert cheap.expected_s <= gap_s
    hurried, *_ = beside_sixteen(8_000, 0.5 * gap_s)
    assert hurried.rows == 16 + TILE_ROWS


def test_whole_prompts_first_stall_everybody():
    waiting, speaking = request(2, 1.0, 900), request(1, 0.0, 0, spoke_s=1.0)
    found = first_come_whole([speaking, waiting], MOST_ROWS)
    assert [share.name for share in found.shares] == [2]
    assert slot_order([speaking, waiting], MOST_ROWS).shares[0].name == 1


def test_the_urgent_go_before_the_patient_and_the_short_before_the_long():
    time, given_ = learnt(), {}
    speaker = request(9, 0.0, 0, spoke_s=10.0, gap_s=0.3)
    urgent, patient = request(1, 5.0, 400, due_s=8.0), request(2, 0.0, 400, due_s=600.0)
    assert plan([speaker, patient, urgent], time, given_, MOST_ROWS, 10.0).shares[1].name == 1
    short, long = request(3, 9.0, 30, due_s=30.0), request(4, 8.9, 3000, due_s=30.0)
    assert plan([speaker, long, short], time, given_, MOST_ROWS, 10.0).shares[1].name == 3


def test_who_will_be_late_anyway_lets_others_be_in_time():
    time = learnt()
    speaker = request(9, 0.0, 0, spoke_s=10.0, gap_s=0.3)
    hopeless, possible = request(1, 9.0, 4000, due_s=2.0), request(2, 9.5, 100, due_s=4.0)
    found = plan([speaker, hopeless, possible], time, {}, MOST_ROWS, 10.0)
    assert found.relegated == (1,)
    assert found.shares[1].name == 2


@pytest.mark.parametrize("speakers", [0, 2])
def test_a_first_token_does_not_wait_for_a_piece_of_another_prompt(speakers):
    speaking = [request(100 + at, 0.0, 0, spoke_s=10.0, gap_s=2.0) for at in range(speakers)]
    long, short, other = request(1, 0.0, 4000, due_s=100.0), request(2, 9.9, 20), request(3, 9.9, 30)

    def rows_of(*prompts):
        found = plan([*speaking, *prompts], learnt(), {}, MOST_ROWS, 10.0)
        return {share.name: share.rows for share in found.shares if share.name < 100}

    assert rows_of(long)[1] > 100
    assert rows_of(long, short) == {2: 20}
    assert rows_of(long, short, other) == {2: 20, 3: 30}, "who begins to speak with this step is not one too many"


def test_a_prompt_that_ends_with_few_rows_needs_no_more_slack_than_for_them():
    time = learnt()
    step_s = time.expected_s(work(1, 0))

    def rows_of(pace_rows, *left):
        """Where the speaker's pace leaves time for so many rows."""
        slack_s = time.margin * time.expected_s(work(1, 0) + work(pace_rows, 0)) + 1e-6
        speaker = replace(request(9, 0.0, 0, spoke_s=9.99, gap_s=2.0), pace_s=5 * step_s, said=1, may_say=100)
        speaker = replace(speaker, first_s=10.0 + slack_s - speaker.pace_s)
        prompts = [request(at, 9.9, one, due_s=50.0) for at, one in enumerate(left)]
        found = plan([speaker, *prompts], time, {}, MOST_ROWS, 10.0)
        return [share.rows for share in found.shares[1:]]

    assert rows_of(4, 4, 2000) == [4]
    assert rows_of(3, 4, 2000) == []
    assert rows_of(6, 4, 3, 2000) == [], "both together are worth a step"
    assert rows_of(7, 3, 4, 2000) == [3, 4]
    assert rows_of(8, 60, 2000) == []
    assert rows_of(LEAST_ROWS, 60, 2000) == [LEAST_ROWS]


def test_one_that_has_been_patient_gets_a_piece_worth_while_although_another_would_end_with_fewer_rows():
    speaker = replace(request(9, 0.0, 0, spoke_s=99.99, gap_s=2.0), pace_s=0.1, first_s=99.99, said=1, may_say=100)
    patient, short = replace(request(1, 0.0, 500, due_s=1.0), relegated=True), request(2, 99.9, 5, tenant="b")
    found = plan([speaker, patient, short], learnt(), {"b": 1000.0}, MOST_ROWS, 100.0)
    assert next(share.rows for share in found.shares if share.name == 1) >= LEAST_ROWS
    # Where the other one's tenant comes first it takes what the other leaves.
    found = plan([speaker, patient, short], learnt(), {"a": 1000.0}, MOST_ROWS, 100.0)
    assert [share.name for share in found.shares] == [9, 2, 1]


def test_the_tenant_that_had_least_comes_first():
    time = learnt()
    greedy, modest = request(1, 0.0, 300, tenant="greedy"), request(2, 1.0, 300, tenant="modest")
    speaker = request(9, 0.0, 0, spoke_s=2.0, gap_s=0.3)
    found = plan([speaker, greedy, modest], time, {"greedy": 5000.0, "modest": 10.0}, MOST_ROWS, 2.0)
    assert found.shares[1].name == 2


@settings(max_examples=40, deadline=None)
@given(
    st.floats(0.001, 0.2), st.floats(1e-4, 0.02), st.floats(0, 1e-6), st.integers(0, 5),
)  # fmt: skip
def test_the_machine_is_learnt_from_its_steps(fixed, per_row, per_pair, seed):
    random = np.random.default_rng(seed)
    time = StepTime()
    for _ in range(80):
        done = work(int(random.integers(2, 400)), int(random.integers(0, 4000)))
        time = time.learnt(done, fixed + per_row * done.rows + per_pair * done.pairs)
    for rows, context in ((2, 0), (64, 500), (256, 2000)):
        done = work(rows, context)
        true = fixed + per_row * done.rows + per_pair * done.pairs
        assert time.expected_s(done) == pytest.approx(true, rel=0.15, abs=0.3 * fixed + 3 * per_row)


def test_who_speaks_and_prompts_are_told_apart_though_as_many_speak_in_every_step():
    random = np.random.default_rng(1)
    time, beside = StepTime(), sum((work(1, 300) for _ in range(16)), start=NOTHING)
    for _ in range(20):
        time = time.learnt(beside, 0.26)
    for _ in range(200):
        prompt = work(int(random.integers(64, 200)), int(random.integers(0, 4000)))
        time = time.learnt(beside + prompt, 0.26 + 0.01 * prompt.rows)
    assert time.expected_s(beside) == pytest.approx(0.26, rel=0.02)
    assert time.expected_s(beside + work(128, 2000)) == pytest.approx(0.26 + 1.28, rel=0.05)
    assert time.alone_s is None
    assert time.learnt(work(1, 50), 0.04).alone_s == 0.04


def test_as_much_margin_is_kept_as_the_last_steps_took_longer_than_expected():
    time, done = StepTime(), work(128, 1000)
    assert time.margin == MOST_MARGIN, "nothing is known"
    for _ in range(40):
        time = time.learnt(done, 0.8)
    assert time.margin == LEAST_MARGIN
    once = time.learnt(done, 2.0)
    assert once.margin == LEAST_MARGIN, "one long step may be a neighbour's doing"
    assert once.learnt(done, 0.95).margin == pytest.approx(0.95 / once.expected_s(done))
    assert LEAST_MARGIN < 0.95 / once.expected_s(done) < MOST_MARGIN
    assert once.learnt(done, 2.0).margin == MOST_MARGIN
    calm = once.learnt(done, 2.0)
    for _ in range(SEEN_FOR_MARGIN):
        calm = calm.learnt(done, 0.8)
    assert calm.margin < 1.1, "it is forgotten"


@settings(max_examples=20, deadline=None)
@given(st.floats(0.0, 0.15), st.integers(0, 1000))
def test_a_gap_is_seldom_exceeded_on_a_machine_that_scatters(scatter, seed):
    """Sixteen speak, while a long prompt comes: as much of the gap is used as the scatter allows."""
    random = np.random.default_rng(seed)
    time, context, gap_s, took = learnt(), 0, 2.0, []
    for _ in range(80):
        speakers = [replace(request(at, 0.0, 0, spoke_s=10.0, gap_s=gap_s), context=200) for at in range(16)]
        found = plan([*speakers, request(100, 9.9, 60_000, due_s=6000.0, context=context)], time, {}, MOST_ROWS, 10.0)
        pieces = [work(1, 200)] * 16 + [work(found.rows - 16, context)]
        took.append(seconds(sum(pieces, start=NOTHING)) * random.uniform(1 - scatter, 1 + scatter))
        time = time.learnt(sum(pieces, start=NOTHING), took[-1])
        context += found.rows - 16
    assert sum(one > gap_s for one in took[20:]) <= 12
    assert max(took[20:]) < 1.2 * gap_s
    assert np.mean(took[20:]) > 0.7 * gap_s


def test_nothing_takes_less_than_no_time_whatever_was_measured():
    time = StepTime()
    for rows, took in ((1, 0.5), (100, 0.1), (200, 0.01)):
        time = time.learnt(work(rows, 0), took)
    assert all(time.expected_s(work(rows, 100)) >= 0 for rows in (1, 50, 1000))


def test_waiting_is_reckoned_from_what_is_ahead():
    time = learnt()
    ahead = [request(1, 0.0, 640), request(2, 0.0, 0, spoke_s=0.0, context=200)]
    found = wait_s(ahead, [50, 100], time, 2)
    assert 640 * 0.0057 < found < 640 * 0.012 + 75 * 0.1
    assert wait_s([], [], time, 2) == 0.0
    assert (retry_after_s(0.0), retry_after_s(2.1), retry_after_s(1e9)) == (1, 3, 3600)
