from dataclasses import replace

import pytest

from autoscaler.replay.trials import carry_out
from loadtests.scaling.bench import Plan, run
from loadtests.scaling.contenders import BY_NAME as CONTENDERS
from loadtests.scaling.scenarios import BY_NAME, SCENARIOS


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.file is None], ids=lambda s: s.name)
def test_a_scenarios_beginning_is_the_beginning_of_the_whole(scenario):
    short, longer = (scenario.bench(3, part=part) for part in (0.1, 0.2))
    assert len(short.at_s) > 0
    assert longer.at_s[: len(short.at_s)] == short.at_s
    assert short.duration_s == pytest.approx(scenario.traffic.duration_s * 0.1)


@pytest.mark.parametrize("name", sorted(CONTENDERS))
def test_every_contender_can_run(name):
    scenario = BY_NAME["bursty"]
    result = carry_out(scenario.bench(1, part=0.02), CONTENDERS[name].trial(scenario, 0.7))
    assert result["requests"] > 0


def test_a_run_keeps_what_the_page_needs_and_names_what_is_missing(tmp_path):
    away = replace(BY_NAME["azure-code"], file=tmp_path / "none.csv")
    plan = Plan(
        scenarios=[away, BY_NAME["bursty"]],
        contenders=[CONTENDERS["hpa"]],
        seeds=[1],
        part=0.02,
        every=4,
        jobs=1,
    )
    said = []
    found = run(plan, say=said.append)
    assert found["missing"] == ["azure-code"]
    assert said[0] == "azure-code: left out, its trace is not at hand"
    runs = found["scenarios"]["bursty"]["1"]["hpa"]
    assert [one["target_ratio"] for one in runs] == [0.2, 0.85, 2.5]
