"""Decisions come out again bit for bit, after a journey through JSON.

What the real loop records: `tests/integration/autoscaler/test_replay.py`.
"""

import ast
import dataclasses
import inspect
import random
from pathlib import Path

import msgspec
import pytest

from autoscaler import core
from autoscaler.core import basis as bases
from autoscaler.core.again import COMPARED, differences
from autoscaler.core.basis import DECIDING, Basis
from autoscaler.core.observation import DecisionState, Observation, Scaling
from autoscaler.core.policy import CONCURRENCY, CPU, IN_FLIGHT, PER_HOUR
from autoscaler.core.windows import LoadWindows
from controlplane.model.decisions import Decision, Reason, Step
from controlplane.model.sections import AutoscalerSettings
from controlplane.model.workloads import ScalingPolicy
from tests.unit.autoscaler.core.reports_for_tests import P, load, report

METRICS = (CONCURRENCY, IN_FLIGHT, PER_HOUR, CPU, "gpuCacheUtilization")


def drawn_settings(chance: random.Random) -> AutoscalerSettings:
    """Any settings that decisions read, each at its default half of the time."""
    ranges = {
        "activation_scale": lambda: chance.randint(1, 4),
        "max_scale_up_rate": lambda: chance.uniform(1.1, 9.0),
        "max_scale_down_rate": lambda: chance.uniform(1.1, 4.0),
        "max_scale_up_replicas": lambda: chance.randint(1, 4),
        "max_scale_down_replicas": lambda: chance.randint(1, 4),
        "scale_down_delay_s": lambda: chance.uniform(0.0, 40.0),
        "scale_up_delay_s": lambda: chance.uniform(0.0, 8.0),
        "stabilization_window_s": lambda: chance.uniform(0.0, 90.0),
        "panic_threshold": lambda: chance.uniform(1.1, 4.0),
        "panic_window_ratio": lambda: chance.uniform(0.05, 0.5),
        "stable_window_s": lambda: chance.uniform(10.0, 90.0),
        "cpu_tolerance_ratio": lambda: chance.uniform(0.0, 0.3),
        "tolerance_ratio": lambda: chance.uniform(0.0, 0.3),
        "min_run_time_s": lambda: chance.uniform(0.0, 60.0),
        "quality_coverage_ratio": lambda: chance.uniform(0.1, 1.0),
    }
    return AutoscalerSettings(**{n: draw() for n, draw in ranges.items() if chance.random() < 0.5})


def drawn_scaling(chance: random.Random) -> Scaling:
    metrics = chance.sample(METRICS, chance.randint(1, 3))
    return Scaling(
        workload_id="w",
        proton_id="p",
        policies=tuple(ScalingPolicy(metric=m, target=chance.uniform(0.1, 40.0)) for m in metrics),
        min_replicas=chance.choice([0, 0, 1, 3]),
        max_replicas=chance.choice([3, 20, 1000]),
        cooldown_s=chance.uniform(5.0, 60.0),
        fixed=2 if chance.random() < 0.02 else None,
        stopped=chance.random() < 0.02,
        settings=drawn_settings(chance),
    )


def run_of(seed: int, seconds: int) -> list[tuple[Decision, DecisionState, Basis]]:
    """One proton's decisions over a while of changing load, with replicas that come slowly."""
    chance = random.Random(seed)
    asked = drawn_scaling(chance)
    stable_s = asked.settings.stable_window_s
    windows = LoadWindows(stable_s=stable_s, panic_s=stable_s / 10, max_age_s=5.0)
    state: DecisionState | None = None
    total, waited, started, ready, found = 0.0, 0.0, 0, 0, []
    now_s = chance.uniform(0.0, 1e6)
    for _ in range(seconds):
        now_s += chance.uniform(0.9, 1.3)
        in_flight = chance.choice([0, 0, 1, 7, 90]) if chance.random() < 0.3 else ready * 3
        queued = chance.randint(0, 30) if chance.random() < 0.2 else 0
        total, waited = total + in_flight + queued, waited + queued
        started += in_flight + queued
        counters = load(total, in_flight=in_flight, queued=queued, queued_seconds=waited,
                        started=started, finished={"2xx": started})  # fmt: skip
        if chance.random() < 0.95:
            windows.observe([report(now_s, {P: counters})], now_s=now_s)
        wanted = state.wanted if state is not None else 0
        ready += chance.choice([0, 1]) if ready < wanted else wanted - ready
        basis = Basis(
            observation=Observation(
                at=1.7e9 + now_s,
                ready=ready,
                pending=max(0, wanted - ready),
                load=windows.view(P, now_s=now_s),
                per_hour=chance.choice([None, chance.uniform(0.0, 9e4)]),
                cpu_percent=tuple(chance.choice([None, 100 / 3]) for _ in range(ready)),
                scraped={"gpuCacheUtilization": tuple(chance.random() for _ in range(ready))},
                woken=chance.random() < 0.05,
                given_up="it exits at once" if chance.random() < 0.01 else None,
            ),
            scaling=asked,
            state=state,
            now_s=now_s,
        )
        decision, state = basis.decide()
        found.append((decision, state, basis))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_recorded_decisions_come_out_again_bit_for_bit_after_json(seed):
    for part in range(20):
        for decision, state, basis in run_of(1000 * seed + part, 20):
            stored = msgspec.json.encode(basis.told(decision))
            recorded = msgspec.json.decode(stored, type=Decision)
            read = bases.decode(recorded.basis)
            assert read.decide() == (decision, state)
            again, found = differences(recorded, read)
            assert found == []
            stored_again = msgspec.structs.replace(
                again, basis=msgspec.Raw(read.encode()), code=recorded.code
            )
            assert msgspec.json.encode(stored_again) == stored


def test_a_decision_without_its_sentences_is_the_same_decision():
    for decision, state, basis in run_of(77, 200):
        told, after = basis.decide(told=True)
        assert (decision.replicas, decision.reason, state) == (told.replicas, told.reason, after)
        assert (decision.steps, decision.inputs, decision.next) == ((), {}, "")
        assert told.steps


@pytest.mark.parametrize("part", [*COMPARED, "steps"])
def test_any_part_that_is_not_the_same_is_named(part):
    decision, _, basis = run_of(5, 30)[-1]
    changed: dict[str, object] = {
        "reason": Reason.ERRORED,
        "inputs": {"ready": 1e9},
        "steps": (Step(name="damping", value=7, note="?"),),
    }
    told = basis.told(decision)
    other = changed.get(part, 99 if "replicas" in part else "?")
    _, found = differences(msgspec.structs.replace(told, **{part: other}), basis)
    assert found
    assert all(one.part == part or one.part.startswith("step ") for one in found)


def test_what_others_add_to_a_decision_is_not_compared():
    decision, _, basis = run_of(5, 30)[-1]
    told = basis.told(decision)
    longer = msgspec.structs.replace(told, steps=(*told.steps, Step(name="x", value=1, note="")))
    assert differences(longer, basis)[1] == []


def test_every_setting_that_decisions_read_is_in_their_basis():
    """`settings.NAME` anywhere in what `decide` calls; the rest of the core decides otherwise."""
    names = {field.name for field in dataclasses.fields(AutoscalerSettings)}
    read = set()
    for path in Path(next(iter(core.__path__))).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and "settings" in ast.dump(node.value):
                read.add(node.attr)
    # The cooldown comes as `Scaling.cooldown_s`, and is read only where that is made.
    assert (read & names) - {"cooldown_s"} <= set(DECIDING)
    assert set(DECIDING) <= names


def test_a_basis_holds_only_what_is_not_the_default():
    asked = Scaling(workload_id="w", proton_id="p", settings=AutoscalerSettings(admin_port=1))
    basis = Basis(observation=Observation(at=1.0), scaling=asked, now_s=2.5)
    assert msgspec.json.decode(basis.encode()) == {
        "observation": {"at": 1.0},
        "scaling": {"workload_id": "w", "proton_id": "p", "settings": {}},
        "now_s": 2.5,
    }


def test_all_that_decide_takes_is_in_the_basis():
    taken = set(inspect.signature(bases.decide).parameters) - {"told"}
    assert taken == set(Basis.__struct_fields__)
