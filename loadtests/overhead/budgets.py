"""The budgets that this benchmark covers, and whether a result keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from loadtests.overhead.cases import MAIN
from loadtests.overhead.ours import NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """One bar."""

    what: str
    case: str
    bar: float
    peer: str | None = None
    """Our CPU time over this peer's; None: memory per connection, in KiB."""

    def measured(self, result: Mapping[str, Any]) -> Mapping[str, float] | None:
        """Median, low and high; None where the case or the peer was not measured."""
        case = next((case for case in result["cases"] if case["name"] == self.case), None)
        if case is None:
            return None
        if self.peer is not None:
            spread: Mapping[str, float] | None = case["ratio"].get(self.peer)
            return spread
        ours = next(found for found in case["results"] if found["name"] == NAME)
        return {name: value / 1024 for name, value in ours["growth_bytes"].items()}

    @property
    def unit(self) -> str:
        """Of the bar and the measured value."""
        return "KiB" if self.peer is None else "x"


BUDGETS: Final = (
    Budget(what="CPU per request against nginx", case=MAIN, peer="nginx", bar=1.5),
    Budget(what="CPU per request against Caddy (Go)", case=MAIN, peer="caddy", bar=0.4),
    Budget(what="16 KiB answers, CPU against nginx", case="answer-16k", peer="nginx", bar=1.2),
    Budget(what="1 MiB answers, CPU against HAProxy", case="answer-1m", peer="haproxy", bar=0.9),
    Budget(what="server-sent events, CPU against nginx", case="events", peer="nginx", bar=1.5),
    Budget(what="memory per idle keep-alive connection", case="idle", bar=2.0),
)


def verdict(budget: Budget, result: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """What, bar, measured with spread, met or not: as text."""
    found = budget.measured(result)
    bar = f"<= {budget.bar:g} {budget.unit}"
    if found is None:
        return budget.what, bar, "", "not measured"
    measured = f"{found['median']:.2f} {budget.unit} ({found['low']:.2f}..{found['high']:.2f})"
    return budget.what, bar, measured, "met" if found["median"] <= budget.bar else "**missed**"
