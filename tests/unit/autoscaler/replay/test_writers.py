"""What is written in a format is read back from it."""

import io
from statistics import fmean

import pytest

from autoscaler.replay.chance import Service, parse_draw
from autoscaler.replay.errors import ReplayError
from autoscaler.replay.formats import READERS, detect, open_trace
from autoscaler.replay.generate import Traffic, generate
from autoscaler.replay.traces import Arrival
from autoscaler.replay.writers import WRITERS


@pytest.fixture
def requests():
    traffic = Traffic(duration_s=3000.0, per_s=1.5, gaps="gamma", mean_tokens=(500.0, 50.0))
    service = Service(draw=parse_draw("lognormal:0.4,3", name="service"))
    return list(generate(traffic, service, seed=4))


@pytest.fixture
def written(tmp_path, requests):
    def write(name):
        path = tmp_path / name
        with path.open("w") as file:
            WRITERS[name](requests, file, 1_767_225_600.0)
        return path

    return write


def test_every_format_that_is_read_can_be_written():
    assert set(WRITERS) == set(READERS)


@pytest.mark.parametrize("name", WRITERS)
def test_a_written_trace_is_told_by_its_first_line_and_has_the_same_rate(name, written, requests):
    path = written(name)
    assert detect(path) == name
    found = list(open_trace(path).read())
    assert len(found) == pytest.approx(len(requests), rel=0.1)
    # The calendar of an Azure trace begins with its first line.
    shift_s = requests[0].at_s if name == "azure" else 0.0
    found = [a._replace(at_s=a.at_s + shift_s) for a in found]

    def by_step(arrivals):
        return [sum(int(a.at_s // 600) == step for a in arrivals) for step in range(5)]

    assert by_step(found) == pytest.approx(by_step(requests), rel=0.25, abs=25)


def test_arrivals_come_back_exactly(written, requests):
    found = list(open_trace(written("arrivals")).read())
    assert [a.at_s for a in found] == pytest.approx([a.at_s for a in requests], abs=1e-6)
    assert [a[2:5] for a in found] == [a[2:5] for a in requests]
    assert [a.service_s for a in found] == pytest.approx([a.service_s for a in requests], rel=1e-4)


def test_azure_keeps_moments_and_tokens(written, requests):
    found = list(open_trace(written("azure")).read())
    shift_s = requests[0].at_s  # its calendar begins with the first line
    assert [a.at_s + shift_s for a in found] == pytest.approx([a.at_s for a in requests], abs=1e-5)
    assert [a.generated_tokens for a in found] == [a.generated_tokens for a in requests]


def test_a_servegen_trace_that_begins_with_silence_is_told_too(tmp_path):
    path = tmp_path / "late"
    with path.open("w") as file:
        WRITERS["servegen"]([Arrival(1300.0 + i) for i in range(50)], file, 0.0)
    assert detect(path) == "servegen"
    assert all(a.at_s >= 1200 for a in open_trace(path).read())


def test_azure_without_tokens_is_refused():
    with pytest.raises(ReplayError, match="tokens"):
        WRITERS["azure"]([Arrival(1.0)], io.StringIO(), 0.0)


def test_a_recording_keeps_every_second_and_the_mean_service_time(written, requests):
    found = list(open_trace(written("recording")).read())
    assert [int(a.at_s) for a in found] == [int(a.at_s) for a in requests]
    real, drawn = (fmean(a.service_s for a in arrivals) for arrivals in (requests, found))
    assert drawn == pytest.approx(real, rel=0.1)


def test_counts_have_a_line_for_every_minute_up_to_the_last(written, requests):
    lines = written("counts").read_text().splitlines()
    assert len(lines) == 2 + int(requests[-1].at_s // 60)
