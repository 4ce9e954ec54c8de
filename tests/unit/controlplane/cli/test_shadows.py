"""Shadows in words."""

from datetime import UTC

from controlplane.cli.shadows import render_shadows


def entry(kind="policy", *, acts=False, replicas=5, at="2026-01-01T00:00:00+00:00"):
    return {
        "kind": kind,
        "forecastActs": acts,
        "comparedSeconds": 300.0,
        "actingReplicas": 4,
        "decision": {
            "id": "d",
            "timestamp": at,
            "workloadId": "w",
            "protonId": "p",
            "replicas": replicas,
            "previousReplicas": 4,
            "reason": "forecast" if kind == "forecast" else "on_target",
            "steps": [],
            "inputs": {},
            "next": "",
        },
        "acting": account(10.0, short=12.5, cold=2),
        "shadow": account(15.5),
    }


def account(minutes, *, short=0.0, cold=0):
    return {
        "replicaMinutes": minutes,
        "surplusReplicaMinutes": 1.0,
        "shortSeconds": short,
        "coldStarts": cold,
        "changes": 3,
        "peakReplicas": 5,
    }


def test_both_accounts_stand_side_by_side():
    text = render_shadows([entry(), entry(replicas=6)], workload_name="predictor", zone=UTC)
    assert text.splitlines()[4:] == [
        "",
        "compared for 5.0 min:",
        "                   acting  shadow",
        "  replicas now          4       5",
        "  replica-minutes      10    15.5",
        "  of them surplus       1       1",
        "  seconds short      12.5       0",
        "  cold starts           2       0",
        "  changes               3       3",
        "  peak                  5       5",
        "surplus, short: against what the load alone takes; the metrics count the minimum, too",
        "",
        "before:",
        "  2026-01-01 00:00:00  4 -> 6 replicas  (on_target), acting: 4",
    ]


def test_a_shadow_says_first_that_nothing_of_it_is_acted_on():
    def first_line(item):
        return render_shadows([item], workload_name="n", zone=UTC).splitlines()[0]

    end = "; not acted on, 4 replicas asked for in fact"
    assert first_line(entry()) == "policy shadow: what it would do" + end
    assert first_line(entry("forecast")) == "forecast shadow: what it would do" + end
    assert first_line(entry("forecast", acts=True)) == (
        "forecast shadow: what would be done without the forecast" + end
    )


def test_a_forecast_says_what_it_is_worth():
    def last_line(*, acts):
        text = render_shadows([entry("forecast", acts=acts)], workload_name="n", zone=UTC)
        return text.splitlines()[-1]

    would = "the forecast would avoid 2 cold starts for 5.5 replica-minutes"
    assert last_line(acts=False) == would
    # Where it acts, its shadow is what would be without it.
    assert last_line(acts=True) == "the forecast avoided -2 cold starts for -5.5 replica-minutes"
