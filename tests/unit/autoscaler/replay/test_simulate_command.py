"""The commands `simulate` and `generate`, from their arguments to what they print and write."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autoscaler.replay.__main__ import app
from autoscaler.replay.errors import ReplayError

POLICY = """
autoscaling:
  policies: [{scalingMetric: httpRequestsConcurrency, target: 2}]
  maxReplicaCount: 5
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(POLICY)
    lines = "".join(f"{20 + i * 0.2:.1f},0.4\n" for i in range(100))
    (tmp_path / "trace.csv").write_text("timestamp,service_s\n" + lines)
    return tmp_path


def called(*arguments):
    found = CliRunner().invoke(app, arguments)
    if isinstance(found.exception, ReplayError):
        raise found.exception
    return found


def simulate(*arguments):
    return called("simulate", "--trace", "trace.csv", "--policy", "policy.yaml", *arguments)


def test_a_table_has_a_column_for_every_scaler(here):
    found = simulate("--against", "knative,hpa,keda")
    assert found.exit_code == 0
    head = found.stdout.splitlines()[0]
    for name in ("100 requests", "tidegate", "knative", "hpa", "keda"):
        assert name in head
    assert "replica-hours" in found.stdout


def test_json_says_the_same_every_time(here):
    one = json.loads(simulate("--json", "--seed", "3").stdout)
    again = json.loads(simulate("--json", "--seed", "3").stdout)
    assert one["scalers"] == again["scalers"]
    assert one["seed"] == 3
    assert one["scalers"][0]["requests"] == 100


def test_a_page_and_a_picture_are_written(here):
    assert simulate("--html", "page.html", "--png", "page.png").exit_code == 0
    assert Path("page.html").read_text().startswith("<!doctype html>")
    assert Path("page.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--against", "nomad"], "no model is called 'nomad'"),
        (["--start-up", "soon"], "--start-up"),
        (["--service", "tokens:1"], "--service"),
        (["--service", "tokens:100,10"], "trace.csv, line 2, column prompt_tokens"),
        (["--format", "xml"], "'xml' is not a format"),
        (["--rate", "2"], "cannot be raised"),
        (["--html", "gone/page.html"], "cannot write"),
        (["--png", "."], "cannot write .: it is a directory"),
        (["--against", ","], "--against: ',' names nothing"),
        (["--format", "zip"], "--format: 'zip'"),
        (["--workload", "nix"], "no request of a workload 'nix'"),
        (["--from", "9000"], "no request is in the part of trace.csv"),
        (["--until", "10"], "no request is in the part of trace.csv"),
        (["--rate", "0"], "no request is in the part of trace.csv"),
        (["--from", "100", "--until", "50"], "cannot end at 50"),
    ],
)
def test_wrong_arguments_are_named(here, arguments, said):
    with pytest.raises(ReplayError, match=said):
        simulate(*arguments)


def test_a_model_that_is_named_twice_is_compared_once(here):
    table = simulate("--against", "knative, knative,").stdout
    assert table.count("knative") == 1


def test_an_empty_part_says_what_there_is(here):
    with pytest.raises(ReplayError) as caught:
        simulate("--from", "9000")
    assert "It has 100 requests, from second 20 to 39.8" in caught.value.hint
    Path("trace.csv").write_text("timestamp,workload,service_s\n1,b,1\n2,a,1\n")
    with pytest.raises(ReplayError) as caught:
        simulate("--workload", "nix")
    assert caught.value.hint == "It has a, b."


@pytest.mark.parametrize("header", ["timestamp,service_s\n", "timestamp,count\n"])
def test_a_trace_without_requests_is_refused(here, header):
    Path("trace.csv").write_text(header)
    with pytest.raises(ReplayError, match=r"no request is in trace\.csv"):
        simulate()


@pytest.mark.parametrize("option", ["--from", "--until", "--tail", "--rate", "--price"])
@pytest.mark.parametrize("value", ["inf", "nan"])
def test_what_is_no_finite_number_is_refused(here, option, value):
    found = simulate(option, value)
    assert found.exit_code == 2
    assert option in found.output


@pytest.mark.parametrize(
    ("policies", "said"),
    [
        ("{scalingMetric: gpuCacheUtilization, target: 50}", "gpuCacheUtilization"),
        ("{scalingMetric: cpuAverageUtilization, target: 50}", "when a replica is busy"),
        ("{scalingMetric: httpRequestsPerHour, target: 50}", "--against needs"),
    ],
)
def test_a_policy_that_a_trace_cannot_answer_is_refused(here, policies, said):
    (here / "policy.yaml").write_text(f"{{policies: [{policies}], minReplicaCount: 1}}")
    with pytest.raises(ReplayError, match=said):
        simulate("--against", "hpa")


def test_a_generated_trace_can_be_simulated(here):
    made = called("generate", "trace.csv", "--hours", "0.1", "--service", "exponential:0.2")
    assert made.exit_code == 0
    assert simulate().exit_code == 0


def test_equal_seeds_generate_equal_files(here):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        called("generate", name, "--hours", "0.2", "--seed", seed, "--pattern", "diurnal,spikes")
    assert Path("a").read_bytes() == Path("b").read_bytes() != Path("c").read_bytes()


def test_a_trace_goes_to_standard_output_without_a_file(here):
    assert called("generate", "--hours", "0.05").stdout.startswith("timestamp,")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "xml"], "no format"),
        (["--pattern", "tidal"], "no pattern"),
        (["--tokens", "5"], "--tokens"),
        (["--format", "azure"], "tells tokens"),
        (["--gaps", "even"], "no gaps"),
        (["gone/trace.csv"], "cannot write"),
    ],
)
def test_wrong_arguments_of_generate_are_named_before_anything_is_written(here, arguments, said):
    Path("keep.csv").write_text("precious")
    out = [] if arguments[0].endswith(".csv") else ["keep.csv"]
    with pytest.raises(ReplayError, match=said):
        called("generate", *out, "--hours", "0.01", "--per-second", "10", *arguments)
    assert Path("keep.csv").read_text() == "precious"
    assert sorted(here.iterdir()) == [here / n for n in ("keep.csv", "policy.yaml", "trace.csv")]


@pytest.mark.parametrize(
    "option",
    [
        "--hours",
        "--per-second",
        "--swing",
        "--variation",
        "--spike-factor",
        "--spike-seconds",
        "--spike-every",
        "--pause-seconds",
    ],
)
@pytest.mark.parametrize("value", ["inf", "nan"])
def test_traffic_of_numbers_that_are_not_finite_is_refused(here, option, value):
    found = called("generate", "--pattern", "spikes,pauses", "--hours", "0.01", option, value)
    assert found.exit_code == 2
    assert option in found.output


def test_a_trace_that_is_there_is_replaced_when_all_is_written_and_a_link_stays(here):
    Path("link.csv").symlink_to("trace.csv")
    assert called("generate", "link.csv", "--hours", "0.01").exit_code == 0
    assert Path("link.csv").is_symlink()
    assert Path("trace.csv").read_text().startswith("timestamp,service_s,prompt_tokens")


def test_what_is_no_regular_file_is_written_to_as_it_is(here):
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert called("generate", "pipe", "--hours", "0.01").exit_code == 0
        assert os.read(reader, 9) == b"timestamp"
    finally:
        os.close(reader)
    assert Path("pipe").is_fifo()
