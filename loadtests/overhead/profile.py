"""`python -m loadtests.overhead.profile`: where the gateway's own time goes, under load.

py-spy (when installed: `pip install py-spy`) samples from outside, on request with native frames,
and distorts little. cProfile counts calls but makes Python code look dearer than it is: it is
there for call counts, and where py-spy is not. The unprofiled cost is printed first, for scale.
"""

import argparse
import contextlib
import pstats
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests.overhead import applications, worker
from loadtests.overhead.cases import BY_NAME, MAIN
from loadtests.overhead.children import BenchError, Cores, choose_cores, tool
from loadtests.overhead.rounds import Round, measure
from loadtests.overhead.target import Job, Route, Target

SAMPLES_PER_S = 499
"""Not a divisor of anything periodic in the gateway."""

UNPROFILED_S = 2

_FRAME = re.compile(r"(?P<function>.*) \((?P<file>[^()]*?)(?::(?P<line>\d+))?\)$")


def main(argv: list[str] | None = None) -> int:
    """Profile and print. Exit code 1: the load was not answered well, or a tool is missing."""
    options = _parser().parse_args(argv)
    try:
        spy = _spy(options.tool)
        with tempfile.TemporaryDirectory(prefix="profile-") as directory:
            if spy is not None:
                _with_spy(spy, options, Path(directory))
            else:
                _with_cprofile(options, Path(directory))
    except BenchError as error:
        print(f"profile: {error}", file=sys.stderr)
        return 1
    return 0


def _spy(wanted: str) -> str | None:
    found = tool("py-spy") if wanted != "cprofile" else None
    if found is None and wanted == "py-spy":
        raise BenchError("needs py-spy: pip install py-spy")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.overhead.profile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=int, default=5, help="load while profiling, s (5)")
    parser.add_argument("--top", type=int, default=30, help="lines of output (30)")
    parser.add_argument("--tool", choices=("auto", "py-spy", "cprofile"), default="auto")
    parser.add_argument("--lines", action="store_true", help="py-spy: by source line")
    parser.add_argument("--native", action="store_true", help="py-spy: with C frames")
    parser.add_argument("--keep", metavar="FILE", type=Path, help="keep the raw profile")
    return parser


@dataclass(slots=True, kw_only=True)
class _Bench:
    """One gateway worker ready for load."""

    target: Target
    job: Job
    cores: Cores

    def load(self, seconds: int) -> Round:
        return measure(self.target, BY_NAME[MAIN], self.job, seconds=seconds, cores=self.cores)


@contextlib.contextmanager
def _deployed(directory: Path, command: Sequence[str] = worker.COMMAND) -> Iterator[_Bench]:
    cores = choose_cores()
    token = worker.new_token()
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(
            applications.running("static", core=cores.load, directory=directory)
        )
        url = stack.enter_context(worker.running_store(directory, core=cores.load))
        worker.fill(url, [*worker.people(token), *worker.workload(1, port=port)])
        target = stack.enter_context(
            worker.running_worker(
                url, token=token, core=cores.proxy, directory=directory, command=command
            )
        )
        route = Route(prefix=worker.prefix(1), port=port)
        yield _Bench(target=target, job=Job(token=token, static=route, streams=route), cores=cores)


def _say(title: str, found: Round) -> None:
    print(
        f"{title}: {found.cpu_us:.1f} us/request ({found.user_us:.1f} user + "
        f"{found.system_us:.1f} system), {found.per_second:,.0f} requests/s, "
        f"core {found.busy_ratio:.0%} busy"
    )


def _with_spy(spy: str, options: argparse.Namespace, directory: Path) -> None:
    raw = options.keep or directory / "stacks.txt"
    with _deployed(directory) as bench:
        plain = bench.load(UNPROFILED_S)
        _say("unprofiled", plain)
        recorder = subprocess.Popen(
            [
                *(spy, "record", "--pid", str(bench.target.process.pid)),
                *("--duration", str(options.seconds), "--rate", str(SAMPLES_PER_S)),
                *("--format", "raw", "--output", str(raw), "--threads"),
                *(["--native"] if options.native else ["--nonblocking"]),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        # One second more than the recording: no idle samples at its end.
        found = bench.load(options.seconds + 1)
        told, _ = recorder.communicate(timeout=60)
        _say("profiled  ", found)
    if recorder.returncode or not raw.exists():
        raise BenchError(f"py-spy failed (it needs the right to trace the process):\n{told}")
    stacks = raw.read_text(encoding="utf-8").splitlines()
    print(f"\n{shares(stacks, cpu_us=plain.cpu_us, lines=options.lines, top=options.top)}")


def _with_cprofile(options: argparse.Namespace, directory: Path) -> None:
    raw = options.keep or directory / "gateway.prof"
    with _deployed(directory) as bench:
        _say("unprofiled", bench.load(UNPROFILED_S))
    again = directory / "again"
    again.mkdir()
    command = (sys.executable, "-m", "cProfile", "-o", str(raw), "-m", "gateway")
    with _deployed(again, command) as bench:
        found = bench.load(options.seconds)
        _say("profiled  ", found)
        code = bench.target.process.stop()  # the profile is written at the orderly end
    if not raw.exists():
        raise BenchError(f"no profile: the gateway ended with exit code {code}")
    pstats.Stats(str(raw)).strip_dirs().sort_stats("tottime").print_stats(options.top)
    print(f"{found.count:,} requests: divide ncalls and tottime by it")


def shares(stacks: Iterable[str], *, cpu_us: float, lines: bool, top: int) -> str:
    """Own and inclusive share of every frame, and what the own share comes to per request."""
    own: Counter[str] = Counter()
    inclusive: Counter[str] = Counter()
    total = 0
    for stack in stacks:
        path, _, count = stack.rpartition(" ")
        thread, *raw = path.split(";")
        if not raw or not thread.endswith("MainThread"):
            continue  # other threads wait, which native stacks show as work
        frames = [_label(frame, lines=lines) for frame in raw]
        total += int(count)
        own[frames[-1]] += int(count)
        for frame in set(frames):
            inclusive[frame] += int(count)
    if not total:
        raise BenchError("no samples")
    rows = [
        f"{count / total:6.1%}  {cpu_us * count / total:6.2f}  "
        f"{inclusive[frame] / total:9.1%}  {frame}"
        for frame, count in own.most_common(top)
    ]
    return "\n".join([f"   own  us/req  inclusive  frame ({total:,} samples)", *rows])


def _label(frame: str, *, lines: bool) -> str:
    match = _FRAME.match(frame)
    if match is None:
        return frame
    line = f":{match['line']}" if lines and match["line"] else ""
    return f"{match['function']} ({match['file']}{line})"


if __name__ == "__main__":
    sys.exit(main())
