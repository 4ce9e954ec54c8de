"""Durations by chance."""

import random
from statistics import fmean, median

import pytest

from autoscaler.replay.chance import parse_draw, parse_service
from autoscaler.replay.errors import ReplayError


def drawn(text, count=20_000):
    draw = parse_draw(text, name="--start-up")
    rng = random.Random(1)
    return sorted(draw(rng) for _ in range(count))


def test_a_number_is_a_constant():
    assert set(drawn("2.5", 5)) == {2.5}
    assert set(drawn("constant:0", 5)) == {0.0}


def test_exponential_has_its_mean():
    assert fmean(drawn("exponential:0.4")) == pytest.approx(0.4, rel=0.03)


def test_lognormal_has_its_median_and_99th_percentile():
    values = drawn("lognormal:0.2,1.5")
    assert median(values) == pytest.approx(0.2, rel=0.03)
    assert values[int(0.99 * len(values))] == pytest.approx(1.5, rel=0.06)


def test_empirical_takes_the_files_numbers_as_often_as_they_stand_there(tmp_path):
    path = tmp_path / "starts.txt"
    path.write_text("1\n\n3\n3\n3\n")
    values = drawn(f"empirical:{path}", 4000)
    assert set(values) == {1.0, 3.0}
    assert values.count(3.0) / len(values) == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    "text",
    [
        *("", "fast", "-1", "nan", "inf", "constant:1,2", "exponential:0", "lognormal:1"),
        *("lognormal:2,1", "lognormal:0,1", "uniform:1,2", "tokens:1,2"),
    ],
)
def test_what_is_no_distribution_is_refused_by_the_name_of_its_option(text):
    with pytest.raises(ReplayError, match="--start-up"):
        parse_draw(text, name="--start-up")


@pytest.mark.parametrize(
    ("content", "said"), [("1\nx\n", "line 2"), ("1 2\n", "line 1"), ("\n", "no numbers")]
)
def test_empirical_files_are_checked(tmp_path, content, said):
    path = tmp_path / "starts.txt"
    path.write_text(content)
    with pytest.raises(ReplayError, match=said):
        parse_draw(f"empirical:{path}", name="--service")


def test_an_empirical_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "bytes"
    path.write_bytes(b"1\n\xff\n")
    with pytest.raises(ReplayError, match=r"--start-up: .*bytes is not a text file in UTF-8"):
        parse_draw(f"empirical:{path}", name="--start-up")


def test_a_missing_empirical_file_is_named(tmp_path):
    with pytest.raises(ReplayError, match=r"gone\.txt"):
        parse_draw(f"empirical:{tmp_path}/gone.txt", name="--service")


def test_tokens_take_time_by_both_rates():
    rates = parse_service("tokens:1000,50").tokens
    assert rates.seconds(2000, 100) == pytest.approx(4.0)


@pytest.mark.parametrize("text", ["tokens:1000", "tokens:0,50", "tokens:a,b", "tokens:1,2,3"])
def test_token_rates_are_checked(text):
    with pytest.raises(ReplayError, match="two rates"):
        parse_service(text)
