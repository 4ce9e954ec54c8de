"""Fuzz for a bounded time: `python -m tests.fuzz --seconds 60`.

Each target runs in a process of its own, one after the other. What is found is made small, shown,
and kept in `tests/fuzz/regressions/`, where the tests replay it for ever; the exit code is 1.
What is learnt about reaching code (the corpus) is kept in `.fuzz/` for the next time.
"""

import argparse
import hashlib
import importlib
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.seeds import REGRESSIONS, SEEDS, dictionary, read
from tests.fuzz.shrink import failure, shrink

_MAX_BYTES = {"fuzz_heads": 4096, "fuzz_connections": 8192}


def fuzz(target: str, seconds: int, corpus: Path) -> list[Path]:
    """Fuzz one target.

    Args:
        target: A module of this package.
        seconds: At least 1.
        corpus: Inputs of earlier times; new ones that reach new code are added.

    Returns:
        New regression cases.
    """
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        seeds = directory / "seeds"
        seeds.mkdir()
        known = [read(path) for path in REGRESSIONS.glob(f"{target}-*")]
        for number, data in enumerate([*SEEDS[target]().values(), *known]):
            (seeds / str(number)).write_bytes(data)
        (directory / "words").write_text(dictionary())
        subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.engine", target, corpus, seeds),
                f"-max_total_time={seconds}",
                f"-max_len={_MAX_BYTES[target]}",
                f"-dict={directory / 'words'}",
                f"-artifact_prefix={directory}/found-",
                *("-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=1"),
            ],
            check=False,
        )
        return [_keep(target, found) for found in sorted(directory.glob("found-*"))]


def _keep(target: str, found: Path) -> Path:
    check = importlib.import_module(f"tests.fuzz.{target}").check
    data = found.read_bytes()
    if "timeout" not in found.name and "oom" not in found.name:
        data = shrink(check, data)
        sys.stderr.write(f"{target}: {failure(check, data)}\n  {data!r}\n")
    kept = REGRESSIONS / f"{target}-{hashlib.sha256(data).hexdigest()[:12]}.txt"
    kept.write_text(f"{data!r}\n")
    return kept


def main() -> int:
    """Fuzz all targets; 1 when something was found, 2 without atheris."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together")
    parser.add_argument("--target", choices=SEEDS, action="append", help="only this one")
    parser.add_argument("--corpus", type=Path, default=Path(".fuzz"), help="default: .fuzz")
    arguments = parser.parse_args()
    if find_spec("atheris") is None:
        sys.stderr.write("needs atheris: pip install atheris (Linux, x86-64)\n")
        return 2
    targets = arguments.target or list(SEEDS)
    found = []
    for target in targets:
        seconds = max(1, arguments.seconds // len(targets))
        found += fuzz(target, seconds, arguments.corpus / target)
    for path in found:
        sys.stderr.write(f"found: {path}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
