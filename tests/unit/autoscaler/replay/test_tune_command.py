"""`tidegate tune` and `knee` as people call them, in this process."""

import json

import pytest
import yaml
from typer.testing import CliRunner

from autoscaler.replay import plots
from autoscaler.replay.__main__ import app
from autoscaler.replay.errors import ReplayError
from autoscaler.replay.policy_file import load_policy


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "trace.csv"
    rows = [f"{i / 3:.3f},0.8" for i in range(150)] + [f"{50 + i / 20:.3f},0.8" for i in range(200)]
    path.write_text("\n".join(["timestamp,service_s", *rows]) + "\n", encoding="utf-8")
    return path


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def tune(trace, *words, budget=7):
    return call(
        "tune", "--trace", trace, "--concurrency", 2, "--budget", budget, "--jobs", 1, *words
    )


def test_the_recommended_policy_is_one_that_simulate_and_the_api_take(trace, tmp_path):
    written = tmp_path / "best.yaml"
    result = tune(trace, "--write", written)
    assert result.exit_code == 0, result.output
    policy = load_policy(written)
    assert policy.replica_limit == 2
    assert "Recommended:" in result.output
    assert written.read_text(encoding="utf-8").startswith("# Made by: tidegate")


def test_json_has_every_run_and_where_the_front_is(trace):
    found = json.loads(tune(trace, "--json").output)
    assert len(found["tried"]) == 7
    assert found["tried"][0]["values"] == {}
    assert found["recommended"] in found["front"]
    assert (
        found["policy"]["autoscaling"]["policies"][0]["scalingMetric"] == "httpRequestsConcurrency"
    )


def test_equal_seeds_find_the_same(trace):
    assert (
        json.loads(tune(trace, "--json").output)["tried"]
        == (json.loads(tune(trace, "--json").output)["tried"])
    )


@pytest.mark.skipif(not plots.available(), reason="needs matplotlib (the extra `demo`)")
def test_page_and_picture_are_written_and_the_page_needs_nothing_else(trace, tmp_path):
    page, picture = tmp_path / "tune.html", tmp_path / "tune.png"
    assert tune(trace, "--html", page, "--png", picture).exit_code == 0
    html = page.read_text(encoding="utf-8")
    assert "<svg" in html
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_policy_to_begin_with_is_kept_where_nothing_is_varied(trace, tmp_path):
    policy = tmp_path / "policy.yaml"
    content = {
        "policies": [{"scalingMetric": "httpRequestsConcurrency", "target": 3}],
        "minReplicaCount": 1,
        "maxReplicaCount": 9,
    }
    policy.write_text(yaml.safe_dump(content), encoding="utf-8")
    found = json.loads(tune(trace, "--policy", policy, "--vary", "target", "--json").output)
    assert found["policy"]["autoscaling"]["maxReplicaCount"] == 9
    assert {name for one in found["tried"] for name in one["values"]} == {"target"}


def test_demands_choose_what_is_recommended(trace):
    cheap = json.loads(tune(trace, "--json", "--wait-p95", 1000).output)
    hours = [one["replica_hours"] for one in cheap["tried"]]
    assert cheap["tried"][cheap["recommended"]]["replica_hours"] == min(hours)


def test_a_setting_that_is_not_known_is_named(trace):
    result = tune(trace, "--vary", "speed")
    assert isinstance(result.exception, ReplayError)
    assert "--vary: 'speed' is not a setting to vary here" in result.exception.message
    assert "names nothing" in tune(trace, "--vary", ",").exception.message


def test_a_trace_without_requests_has_no_recommendation(trace):
    trace.write_text("timestamp,service_s\n", encoding="utf-8")
    assert "no request is in" in tune(trace, budget=1).exception.message


def test_a_demand_that_is_no_finite_number_is_refused(trace):
    assert tune(trace, "--wait-p95", "nan", budget=1).exit_code == 2


def test_a_file_that_cannot_be_written_is_named(trace, tmp_path):
    wrong = ("--png", tmp_path / "p.png", "--html", tmp_path / "none" / "x.html")
    result = tune(trace, *wrong, budget=1)
    assert "cannot write" in result.exception.message
    assert not (tmp_path / "p.png").exists(), "before anything was run"


SAMPLES = "\n".join(
    ["concurrency,latency_s", *(f"{n},{0.1 * max(1, n / 8)}" for n in range(1, 33))]
)


def test_a_knee_is_proposed_from_samples(tmp_path):
    path = tmp_path / "samples.csv"
    path.write_text(SAMPLES, encoding="utf-8")
    assert "\nTarget 8: " in call("knee", "--samples", path).output


def test_samples_may_come_on_standard_input():
    result = CliRunner().invoke(app, ["knee", "--samples", "-", "--json"], input=SAMPLES)
    assert json.loads(result.output)["target"] == 8


def test_no_knee_says_why():
    lines = "concurrency,latency_s\n1,0.1\n2,0.1\n"
    result = CliRunner().invoke(app, ["knee", "--samples", "-"], input=lines)
    assert "No target: only 2 different loads" in result.output


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param("load,latency_s\n1,2\n", "no column 'concurrency'", id="column"),
        pytest.param(
            "concurrency,latency_s\n1,x\n", "line 2, column latency_s: 'x' is not", id="number"
        ),
        pytest.param(
            "concurrency,latency_s\n1\n", "line 2, column latency_s: it is empty", id="short"
        ),
        pytest.param("concurrency,latency_s\n1,inf\n", "column latency_s: 'inf'", id="infinite"),
        pytest.param("concurrency,latency_s\n-1,1\n", "column concurrency: '-1'", id="negative"),
    ],
)
def test_wrong_samples_are_refused_with_the_place(content, said):
    result = CliRunner().invoke(app, ["knee", "--samples", "-"], input=content)
    assert said in result.exception.message


def test_a_file_of_samples_that_is_not_there_is_named(tmp_path):
    said = call("knee", "--samples", tmp_path / "none.csv").exception.message
    assert said.endswith("none.csv: No such file or directory")
