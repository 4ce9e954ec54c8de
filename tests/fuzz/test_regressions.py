"""What fuzzing has found stays found, and where it begins holds: no atheris needed."""

import importlib
import subprocess
import sys

import pytest

from tests.fuzz.seeds import REGRESSIONS, SEEDS, dictionary, read
from tests.fuzz.shrink import failure, shrink


def check_of(target: str):
    return importlib.import_module(f"tests.fuzz.{target}").check


@pytest.mark.parametrize("path", sorted(REGRESSIONS.iterdir()), ids=lambda path: path.stem)
def test_what_was_found_does_not_come_back(path):
    check_of(path.name.partition("-")[0])(read(path))


@pytest.mark.parametrize(
    ("target", "data"),
    [
        pytest.param(target, data, id=f"{target}-{name}".replace(" ", "-"))
        for target, seeds in SEEDS.items()
        for name, data in seeds().items()
    ],
)
def test_seeds_hold(target, data):
    check_of(target)(data)


def test_a_failing_input_is_made_small():
    def check(data: bytes) -> None:
        if b"ab" in data and b"cd" in data:
            raise ValueError(data)

    noise = bytes(range(97)) * 3
    assert sorted(shrink(check, noise + b"ab" + noise + b"cd" + noise)) == sorted(b"abcd")
    assert shrink(check, b"harmless") == b"harmless"
    assert failure(check, b"harmless") is None


def test_every_word_of_the_dictionary_is_printable():
    assert all(line.isascii() and line.startswith('"') for line in dictionary().splitlines())


def test_the_targets_need_no_atheris():
    """Only the engine does; tests replay without it."""
    code = "import sys, tests.fuzz.fuzz_heads, tests.fuzz.fuzz_connections as c; c.check(b'c')"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; assert 'atheris' not in sys.modules"], check=False
    )
    assert done.returncode == 0
