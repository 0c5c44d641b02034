"""Traces as tables, and made ones: every row counts, columns go by name, and a made load has the shape it says."""

from __future__ import annotations

import gzip
import math
import statistics
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.errors import TraceUnknown, TraceUnreadable
from benchmarks.serving.traces import burstgpt
from benchmarks.serving.traces.burst_shaped import burst_shaped, hour_weight
from benchmarks.serving.traces.clients import Client, made_of, population, weibull_shape
from benchmarks.serving.traces.open import open_trace
from benchmarks.serving.traces.trace import Row

SIX = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type"
SIX_ROWS = ["5,ChatGPT,472,18,490,Conversation log", "45,GPT-4,1087,0,1087,API log"]
EIGHT = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type"
EIGHT_ROWS = ["5,a-1,3.5,ChatGPT,472,18,490,Conversation log", "45.0,,1,GPT-4,1087.0,0,1087,API log"]
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens"


def written(path: Path, *lines: str, end: str = "\n") -> Path:
    path.write_bytes(end.join([*lines, ""]).encode())
    return path


@pytest.mark.parametrize(("header", "rows"), [(SIX, SIX_ROWS), (EIGHT, EIGHT_ROWS)], ids=["six", "eight"])
def test_burstgpt_by_the_names_of_its_columns(tmp_path: Path, header: str, rows: list[str]) -> None:
    wanted = (Row(0.0, 472, 18, tenant="ChatGPT"), Row(40.0, 1087, 0, tenant="GPT-4"))
    assert open_trace(str(written(tmp_path / "b.csv", header, *rows))).rows == wanted
    # Any order of the columns, as long as the names go with the cells.
    turned = [",".join(reversed(line.split(","))) for line in (header, *rows)]
    assert open_trace(str(written(tmp_path / "turned.csv", *turned, end="\r\n"))).rows == wanted


def test_a_published_file_must_be_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "BurstGPT_1.csv", SIX, *SIX_ROWS)
    with pytest.raises(TraceUnreadable, match=r"2 rows are there, and the published BurstGPT_1\.csv has 1429737"):
        open_trace(str(path))
    assert len(open_trace(str(path), limit=1).rows) == 1
    monkeypatch.setitem(burstgpt.PUBLISHED_ROWS, "BurstGPT_1.csv", 2)
    assert len(open_trace(str(path)).rows) == 2


@pytest.mark.parametrize(
    "moments",
    [
        ("2023-11-16 18:17:03.9799600", "2023-11-16 18:17:05.4799600"),
        ("2024-05-10 00:00:00.009930+00:00", "2024-05-10 00:00:01.509930+00:00"),
        ("2024-05-10 23:59:59.5+00:00", "2024-05-11 02:00:01+02:00"),
    ],
    ids=["2023", "2024", "zones"],
)
def test_azure_of_both_years(tmp_path: Path, moments: tuple[str, str]) -> None:
    path = tmp_path / "AzureLLMInferenceTrace_code.csv.gz"
    path.write_bytes(gzip.compress(f"{AZURE}\r\n{moments[0]},4808,10\r\n{moments[1]},110,27".encode()))
    trace = open_trace(str(path))
    assert trace.name == "AzureLLMInferenceTrace_code"
    assert [(one.input_tokens, one.output_tokens) for one in trace.rows] == [(4808, 10), (110, 27)]
    assert trace.rows[1].time_s == pytest.approx(1.5, abs=1e-5)


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        (SIX, "5,ChatGPT,472,18,490", "line 2: it has 5 cells, and the header has 6"),
        (SIX, "5,ChatGPT,472,18,499,API log", "line 2: 499 tokens in total are not 472 and 18"),
        (SIX, "5,ChatGPT,many,18,490,API log", "line 2: Request tokens is 'many'"),
        (SIX, "nan,ChatGPT,472,18,490,API log", "line 2: Timestamp is 'nan'"),
        (SIX, "5,ChatGPT,472,-18,454,API log", "line 2: Response tokens is '-18'"),
        (SIX, '5,"ChatGPT,472,18,490,API log', "line 2: it is no line of a CSV"),
        (f"{SIX},Model", "5,ChatGPT,472,18,490,API log,x", "line 1: two columns have one name"),
        (AZURE, "yesterday,1,2", "line 2: TIMESTAMP is 'yesterday'"),
        (AZURE, "2023-11-16 18:17:03,1.5,2", "line 2: ContextTokens is '1.5'"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, header: str, row: str, said: str) -> None:
    with pytest.raises(TraceUnreadable, match="KF462") as caught:
        open_trace(str(written(tmp_path / "bad.csv", header, row)))
    assert said in str(caught.value)


def test_what_nobody_reads_is_told(tmp_path: Path) -> None:
    with pytest.raises(TraceUnknown, match=r"KF463: .*columns a, b"):
        open_trace(str(written(tmp_path / "other.csv", "a,b", "1,2")))
    with pytest.raises(TraceUnknown, match=r"ends neither in \.csv"):
        open_trace(str(tmp_path / "trace.parquet"))
    with pytest.raises(TraceUnreadable, match="the file is empty"):
        open_trace(str(written(tmp_path / "empty.csv")))


@given(cv=st.floats(0.1, 20))
def test_a_weibull_of_each_burstiness(cv: float) -> None:
    k = weibull_shape(cv)
    # Through logarithms: for a bursty one the moments themselves are enormous.
    found = math.sqrt(math.expm1(math.lgamma(1 + 2 / k) - 2 * math.lgamma(1 + 1 / k)))
    assert found == pytest.approx(cv, rel=1e-3)


@pytest.mark.parametrize("arrivals", ["gamma", "weibull"])
@pytest.mark.parametrize("cv", [0.5, 1.0, 3.0])
def test_a_client_has_its_rate_its_burstiness_and_its_lengths(arrivals: str, cv: float) -> None:
    client = Client(
        name="one", rate_per_s=2.0, arrivals=arrivals, cv=cv, prompt_median_tokens=300, answer_mean_tokens=50
    )  # type: ignore[arg-type]
    rows = made_of((client,), 10_000).rows
    waits = [after.time_s - before.time_s for before, after in pairwise(rows)]
    assert statistics.mean(waits) == pytest.approx(0.5, rel=0.1)
    assert statistics.stdev(waits) / statistics.mean(waits) == pytest.approx(cv, rel=0.15)
    assert statistics.median(one.input_tokens for one in rows) == pytest.approx(300, rel=0.05)
    assert statistics.mean(one.output_tokens for one in rows) == pytest.approx(50.5, rel=0.05)


def test_one_seed_is_one_trace_and_clients_do_not_disturb_each_other() -> None:
    clients = population(count=9, rate_per_s=3, seed=4)
    whole = made_of(clients, 400, seed=1)
    assert whole == made_of(clients, 400, seed=1)
    assert whole != made_of(clients, 400, seed=2)
    assert [one.time_s for one in whole.rows] == sorted(one.time_s for one in whole.rows)
    assert whole.synthetic.startswith("9 clients")

    def lengths(rows: tuple[Row, ...]) -> list[tuple[int, int]]:
        return [(one.input_tokens, one.output_tokens) for one in rows if one.tenant == clients[0].name]

    assert lengths(whole.rows) == lengths(made_of(clients[:1], 400, seed=1).rows)
    # A few make most of it: a third of them more than half.
    busy = sum(one.tenant in {client.name for client in clients[:3]} for one in whole.rows)
    assert busy > len(whole.rows) / 2


def test_clients_of_ones_own(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.toml", "[[clients]]", 'name = "a"', "rate_per_s = 1.0", 'arrivals = "weibull"')
    assert {one.tenant for one in open_trace(str(path), hours=0.1).rows} == {"a"}
    with pytest.raises(TraceUnreadable, match="rate_per_s"):
        open_trace(str(written(tmp_path / "bad.toml", "[[clients]]", 'name = "a"', "rate_per_s = -1.0")))


def test_burst_shaped_has_the_published_shape() -> None:
    hours = [hour_weight(hour) for hour in range(24)]
    assert statistics.mean(hours) == pytest.approx(1)
    assert 9 < max(hours) / min(hours) < 13
    assert hours.index(min(hours)) in (6, 7)
    trace = burst_shaped(hours=24, seed=3, day_requests=20_000)
    assert "no person made any of it" in trace.synthetic
    rows = trace.rows
    assert len(rows) == pytest.approx(20_000, rel=0.1)
    told = statistics.mean(one.input_tokens + one.output_tokens for one in rows)
    assert told == pytest.approx(734, rel=0.05)
    assert sum(one.output_tokens == 0 for one in rows) / len(rows) == pytest.approx(0.0178, rel=0.2)
    # Burstier than Poisson's.
    waits = [after.time_s - before.time_s for before, after in pairwise(rows)]
    assert statistics.stdev(waits) > 1.4 * statistics.mean(waits)
    assert open_trace("made:burstgpt", limit=5, seed=3).rows == burst_shaped(1.0, 3, limit=5).rows


@pytest.mark.data
def test_the_published_azure_traces(data: Path) -> None:
    for name, count, prompt in (("code", 8_819, 2_048), ("conv", 19_366, 1_155)):
        rows = open_trace(str(data / "traces" / "azure_llm" / f"AzureLLMInferenceTrace_{name}.csv")).rows
        assert len(rows) == count
        assert statistics.mean(one.input_tokens for one in rows) == pytest.approx(prompt, abs=1)
