"""`python -m loadtests.fidelity`: the demo on a real system and in the simulator, compared."""

import argparse
import asyncio
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from loadtests.fidelity.agreement import Measure, compare
from loadtests.fidelity.page import PICTURE, page, picture
from loadtests.fidelity.runs import Observed, really, simulated

HERE: Final = Path(__file__).resolve().parents[1]
MAX_RUNS: Final = 20


def both(seconds: float) -> tuple[Observed, Observed, float]:
    """Run both; a whole system starts and ends on the way.

    Returns:
        Reality, the simulation, and how long a replica took to start.
    """
    # Short, because a Unix socket's path is.
    data_dir = Path(tempfile.mkdtemp(prefix="tidegate-fidelity-"))
    try:
        real, start_up_s = asyncio.run(really(seconds, data_dir))
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
    return real, simulated(seconds, start_up_s=start_up_s, until_s=real.at_s[-1]), start_up_s


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, and write the page; 0 when everything is within its bound."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.fidelity", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="length, 20 to 90 (60)")
    parser.add_argument("--runs", type=int, default=1, help="how often, 1 to 20 (1)")
    parser.add_argument("--render", action="store_true", help="write FIDELITY.md and its picture")
    options = parser.parse_args(arguments)
    if not 1 <= options.runs <= MAX_RUNS:
        parser.error(f"--runs must be 1 to {MAX_RUNS}, not {options.runs}")
    runs = []
    for _ in range(options.runs):
        real, told, start_up_s = both(options.seconds)
        runs.append(compare(real, told))
        print(table(runs[-1]))
    if options.render:
        text = page(runs, seconds=options.seconds, start_up_s=start_up_s, machine=machine())
        (HERE / "FIDELITY.md").write_text(text, encoding="utf-8")
        (HERE / PICTURE).write_text(picture(real, told), encoding="utf-8")
    return 0 if all(measure.holds for measures in runs for measure in measures) else 1


def table(measures: Sequence[Measure]) -> str:
    """The measures as lines."""
    lines = [f"{'':18} {'real':>9} {'simulated':>9} {'apart':>8} {'bound':>8}"]
    for m in measures:
        numbers = f"{m.real:9.4g} {m.simulated:9.4g} {m.distance:8.3g} {m.bound:8.3g}"
        lines.append(f"{m.name:18} {numbers}{'' if m.holds else '  outside'}")
    return "\n".join(lines)


def machine() -> str:
    """Where this ran."""
    return f"{os.cpu_count()} cores, {platform.system()} {platform.release()}"


if __name__ == "__main__":
    sys.exit(main())
