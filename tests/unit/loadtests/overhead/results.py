"""Made-up results of a benchmark."""

from loadtests.overhead.bench import case_json
from loadtests.overhead.cases import BY_NAME
from loadtests.overhead.rounds import Result, Round


def round_of(cpu_us, *, busy_ratio=0.99, growth_bytes=0.0):
    return Round(
        count=1000,
        per_second=500.0,
        cpu_us=cpu_us,
        user_us=cpu_us / 4,
        system_us=cpu_us * 3 / 4,
        busy_ratio=busy_ratio,
        p50_ms=1.0,
        p99_ms=2.0,
        rss_bytes=2**20,
        growth_bytes=growth_bytes,
    )


def result_of(name, *costs, **changes):
    rounds = tuple(round_of(cost, **changes) for cost in costs)
    return Result(name=name, version="1.2", rounds=rounds)


def case_of(name, *results):
    return case_json(BY_NAME[name], results, seconds=1)


def bench_result(*cases, missing=None):
    return {
        "machine": {"cpu": "some CPU", "cores": 2, "kernel": "6.1", "python_loop_ms": 8.0},
        "versions": {"python": "CPython 3.11"},
        "missing": missing or {},
        "notes": ["a note"],
        "rounds": 2,
        "direct_per_second": 90_000,
        "beside": {"cpu_us": 0.4, "rss_bytes": 100 * 2**20},
        "cases": list(cases),
        "ratio": {},
    }
