"""A shadow in words: what it would have done, and both accounts side by side."""

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any, Final

from controlplane.cli.client import Json
from controlplane.cli.decisions import decision_from_json
from controlplane.model.explain import count, headline, render

_ROWS: Final[Mapping[str, str]] = {
    "replicaMinutes": "replica-minutes",
    "surplusReplicaMinutes": "of them surplus",
    "shortSeconds": "seconds short",
    "coldStarts": "cold starts",
    "changes": "changes",
    "peakReplicas": "peak",
}


_MEASURE: Final = (
    "surplus, short: against what the load alone takes; the metrics count the minimum, too"
)


def render_shadows(items: list[Json], *, workload_name: str, zone: tzinfo) -> str:
    """The newest entry of a shadow's journal whole, earlier ones a line each.

    Args:
        items: From `GET workloads/{id}/shadowDecisions`, newest first; at least one.
        workload_name: As its owner calls it.
        zone: In whose time to write the clock.
    """
    newest = items[0]
    decision = decision_from_json(newest["decision"])
    text = render(decision, workload_name=workload_name, zone=zone)
    minutes = newest["comparedSeconds"] / 60
    lines = [
        _not_acting(newest),
        text,
        "",
        f"compared for {minutes:.1f} min:",
        *_table(newest),
        _MEASURE,
    ]
    if newest["kind"] == "forecast":
        lines += ["", _worth(newest)]
    if items[1:]:
        lines += ["", "before:"]
        for item in items[1:]:
            told = headline(decision_from_json(item["decision"]), zone=zone)
            lines.append(f"  {told}, acting: {item['actingReplicas']}")
    return "\n".join(lines)


def _not_acting(item: Json) -> str:
    if item["kind"] == "forecast" and item["forecastActs"]:
        what = "forecast shadow: what would be done without the forecast"
    else:
        what = f"{item['kind']} shadow: what it would do"
    return f"{what}; not acted on, {count(item['actingReplicas'])} asked for in fact"


def _table(item: Json) -> list[str]:
    acting: dict[str, Any] = item["acting"]
    shadow: dict[str, Any] = item["shadow"]
    rows = [("", "acting", "shadow")]
    rows.append(("replicas now", str(item["actingReplicas"]), str(item["decision"]["replicas"])))
    rows += [(said, f"{acting[name]:g}", f"{shadow[name]:g}") for name, said in _ROWS.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        f"  {name:<{widths[0]}}  {one:>{widths[1]}}  {two:>{widths[2]}}" for name, one, two in rows
    ]


def _worth(item: Json) -> str:
    """`the forecast: 3 cold starts avoided for 12.5 replica-minutes`."""
    sign = -1 if item["forecastActs"] else 1
    avoided = sign * (item["acting"]["coldStarts"] - item["shadow"]["coldStarts"])
    spent = sign * (item["shadow"]["replicaMinutes"] - item["acting"]["replicaMinutes"])
    verb = "avoided" if item["forecastActs"] else "would avoid"
    return f"the forecast {verb} {avoided} cold starts for {spent:.1f} replica-minutes"
