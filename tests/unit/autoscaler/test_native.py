"""The compiled twin of a round decides as the interpreter does, bit for bit."""

import os
import subprocess
import sys

import pytest

from autoscaler import native

SCRIPT = """
import hashlib, sys
from autoscaler import native
if sys.argv[1] == "compiled":
    assert native.activate()
import msgspec
from autoscaler.core import basis as bases
from autoscaler.core import plan
from autoscaler.replay import simulate
from autoscaler.replay.ours import Tidegate
from autoscaler.replay.world import World
from controlplane.model.workloads import Autoscaling, ScalingPolicy
from tests.unit.autoscaler.core.test_again import run_of

digest = hashlib.sha256()

def see(decision, *others):
    # Of a record its parts, not its bytes: the interpreter leaves out a default that is the very
    # object, and compiled code has no objects for floats.
    basis = repr(bases.decode(decision.basis)) if decision.basis is not msgspec.UNSET else ""
    decision = msgspec.structs.replace(decision, basis=msgspec.UNSET)
    digest.update((repr((decision, *others)) + basis).encode())

for seed in range(40):
    for decision, state, basis in run_of(seed, 60):
        see(basis.told(decision), state, basis.observation)
policy = ScalingPolicy(metric="httpRequestsConcurrency", target=3)
scaling = Autoscaling(policies=(policy,), min_replicas=0, max_replicas=20, cooldown_s=10)
scaler = Tidegate(scaling, keep_decisions=1000)
arrivals = [(0.37 * i + 20 * (i // 90), 0.2 + i % 7) for i in range(600)]
outcome = simulate.run(arrivals, World(workers=2, concurrency=4), scaler, seed=3)
digest.update(repr((outcome.requests, outcome.looks, outcome.changes, outcome.waits)).encode())
for decision in scaler.decisions:
    see(decision)
print("compiled" if "_native" in plan.__file__ else "interpreted", outcome.changes > 4,
      digest.hexdigest())
"""


def test_compiled_and_interpreted_decisions_are_the_same_bit_for_bit():
    if not (native.home() / "complete").exists():
        pytest.skip("needs a build of these sources: python -m autoscaler.build")
    told = []
    for how in ("compiled", "interpreted"):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, how],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": str(native.PACKAGE.parent)},
        )
        assert done.returncode == 0, done.stderr
        kind, moved, digest = done.stdout.split()
        assert (kind, moved) == (how, "True")
        told.append(digest)
    assert told[0] == told[1]


def test_a_change_of_what_the_compiler_reads_beside_the_modules_asks_for_another_build(tmp_path):
    package = tmp_path / "autoscaler"
    for module in (*native.MODULES, "core/steps", "news", "../controlplane/model/reports"):
        path = package / f"{module}.py"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text("", encoding="utf-8")
    homes = {native.GROUP.home(package)}
    for changed in ("core/plan", "core/steps", "news", "../controlplane/model/reports"):
        with (package / f"{changed}.py").open("a") as source:
            source.write("\n# changed\n")
        homes.add(native.GROUP.home(package))
    assert len(homes) == 5
