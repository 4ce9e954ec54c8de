import math
import random
import re
from itertools import islice, pairwise
from pathlib import Path
from statistics import mean, pstdev

import pytest

from loadtests.arrivals import Arrival, Cut, TraceError, Window, constant, drawn, replay

SHARED = Path(__file__).parents[4] / "shared" / "traces"

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:04.0319600,3180,8
2023-11-16 18:17:13.9799600,110,27
"""
SERVEGEN = "0,10,1.1,Gamma,0.8,0.1\n600,0,0,,0,0\n1200,20,8,Weibull,0.5,0.01\n"


@pytest.fixture
def trace(tmp_path):
    def write(text):
        path = tmp_path / "trace.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_constant_rate_has_even_distances():
    assert [a.at_s for a in islice(constant(4), 4)] == [0, 0.25, 0.5, 0.75]


def test_an_azure_trace_gives_its_rows_counted_from_the_first(trace):
    assert list(replay(trace(AZURE), Cut())) == [
        Arrival(at_s=0.0, context_tokens=4808, generated_tokens=10),
        Arrival(at_s=0.052, context_tokens=3180, generated_tokens=8),
        Arrival(at_s=10.0, context_tokens=110, generated_tokens=27),
    ]


def test_a_cut_begins_later_and_runs_faster(trace):
    arrivals = replay(trace(AZURE), Cut(from_s=0.04, speed=2))
    assert [a.at_s for a in arrivals] == pytest.approx([0.006, 4.98])


def test_servegen_windows_give_arrivals_at_their_rates_and_none_where_there_are_none(trace):
    arrivals = [a.at_s for a in replay(trace(SERVEGEN), Cut())]
    assert arrivals == sorted(arrivals)
    counts = [sum(w <= at < w + 600 for at in arrivals) for w in (0, 600, 1200)]
    assert counts[0] == pytest.approx(6000, rel=0.05)
    assert counts[1] == 0
    assert counts[2] == pytest.approx(12_000, rel=0.1)
    assert max(arrivals) < 1800, "the last window is as long as the one before it"


def test_the_same_seed_gives_the_same_arrivals_and_another_one_others(trace):
    path = trace(SERVEGEN)
    first, again, other = (
        list(islice(replay(path, Cut(seed=seed, keep_ratio=0.5)), 50)) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_thinning_keeps_the_share(trace):
    kept = sum(1 for _ in replay(trace(SERVEGEN), Cut(keep_ratio=0.1)))
    assert kept == pytest.approx(1800, rel=0.15)
    path = trace(AZURE + "2023-11-16 18:17:14.0,1,1\n" * 1000)
    assert sum(1 for _ in replay(path, Cut(keep_ratio=0.3))) == pytest.approx(300, rel=0.2)


@pytest.mark.parametrize(("family", "shape"), [("Gamma", 1.0), ("Weibull", 1.0), ("Gamma", 0.25)])
def test_gaps_are_as_bursty_as_the_family_and_shape_say(family, shape):
    window = Window(start_s=0, end_s=2000, rate_per_s=10, family=family, shape=shape)
    arrivals = [a.at_s for a in drawn([window], random.Random(7), from_s=0)]
    gaps = [b - a for a, b in pairwise(arrivals)]
    assert mean(gaps) == pytest.approx(0.1, rel=0.05)
    assert pstdev(gaps) / mean(gaps) == pytest.approx(1 / math.sqrt(shape), rel=0.1)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        pytest.param("", None, "is empty", id="empty"),
        pytest.param("a,b\n", 1, "header TIMESTAMP", id="another-format"),
        pytest.param(AZURE + "2023-11-16 18:17:14\n", 5, "1 columns. 3", id="a-short-row"),
        pytest.param(AZURE + "yesterday,1,1\n", 5, "not a time", id="no-time"),
        pytest.param(AZURE + "2023-11-16 18:17:01.0,1,1\n", 5, "Sort it", id="out-of-order"),
        pytest.param(AZURE + "2023-11-16 18:18:01.0,x,1\n", 5, "ContextTokens", id="no-number"),
        pytest.param(AZURE + "2023-11-16 18:18:01.0,1,-1\n", 5, "GeneratedTokens", id="negative"),
        pytest.param("TIMESTAMP,ContextTokens,GeneratedTokens\n", None, "no arrival", id="no-row"),
        pytest.param(SERVEGEN + "1800,1,1,Poisson,1,1\n", 4, "Gamma, Weibull", id="family"),
        pytest.param(SERVEGEN + "1800,1,1,Gamma,0,1\n", 4, "shape is 0", id="shape"),
        pytest.param(SERVEGEN + "1800,nan,1,Gamma,1,1\n", 4, "the rate is 'nan'", id="rate"),
        pytest.param(SERVEGEN + "100,1,1,Gamma,1,1\n", 4, "Sort it", id="windows-out-of-order"),
        pytest.param("0,0,0,,0,0\n600,0,0,,0,0\n", None, "no arrival is left", id="nobody-comes"),
    ],
)
def test_a_bad_file_is_refused_with_its_name_line_and_a_remedy(trace, text, line, says):
    path = trace(text)
    where = f"{path}, line {line}: " if line else f"{path}: "
    with pytest.raises(TraceError, match=re.escape(where)) as caught:
        list(replay(path, Cut()))
    assert says in str(caught.value)


def test_a_missing_file_and_one_that_is_no_text_are_refused(tmp_path):
    with pytest.raises(TraceError, match=r"cannot be read: No such file"):
        replay(tmp_path / "none.csv", Cut())
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TraceError, match="is not text"):
        replay(tmp_path / "binary", Cut())


@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared traces")
def test_the_public_traces_are_read():
    azure = list(replay(SHARED / "azure_llm_2023_code.csv", Cut()))
    assert len(azure) == 8819
    assert azure[-1].at_s == pytest.approx(57 * 60 + 16, abs=1)
    first = list(islice(replay(SHARED / "servegen_m-small_5.csv", Cut()), 10_000))
    assert first[-1].at_s == pytest.approx(10_000 / 378.9, rel=0.1)
