"""Who may import whom: the contracts of pyproject.toml, and what they cannot see."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, core_files, nodes

NOT_IN_THE_GATEWAY = {
    *("starlette", "fastapi", "uvicorn", "pydantic", "anyio", "httpx2", "h11"),
    *("kubernetes", "locust", "psutil", "typer", "rich", "yaml", "matplotlib"),
    *("autoscaler", "controlplane.api", "controlplane.cli", "controlplane.demo"),
}
NOT_IN_THE_AUTOSCALER = {"gateway", "controlplane.api", "controlplane.cli", "starlette", "fastapi"}

PURE = {
    *(
        "__future__",
        "abc",
        "array",
        "bisect",
        "collections",
        "copy",
        "dataclasses",
        "datetime",
        "difflib",
    ),
    *("enum", "fractions", "functools", "hashlib", "heapq", "hmac", "ipaddress", "itertools"),
    *(
        "math",
        "operator",
        "re",
        "signal",
        "statistics",
        "string",
        "struct",
        "types",
        "typing",
        "urllib",
        "msgspec",
    ),
    *("gateway", "autoscaler", "controlplane"),  # import-linter says which parts of them
}
"""What decision code may import: no clock, no chance, no input or output.

`signal` and `datetime` for their names and arithmetic only: see the test on calls.
"""

ALSO_PURE = {"controlplane/model/schedules.py": {"cronsim", "zoneinfo"}}
"""Calendars: what they say of a moment follows from it and the installation's time zones. Decisions
get the bounds ready-made, so that one made again elsewhere is the same."""


def _modules_after(*imports: str) -> set[str]:
    program = f"import {', '.join(imports)}, sys, json; print(json.dumps(sorted(sys.modules)))"
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(json.loads(told.stdout))


def test_import_contracts_hold():
    command = Path(sys.executable).parent / "lint-imports"
    told = subprocess.run(
        [command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr


def test_gateway_process_carries_nothing_that_it_does_not_need():
    assert _modules_after("gateway.__main__") & NOT_IN_THE_GATEWAY == set()


def test_autoscaler_process_carries_no_other_process():
    assert _modules_after("autoscaler.serving") & NOT_IN_THE_AUTOSCALER == set()


@pytest.mark.parametrize("path", core_files(), ids=str)
def test_decision_code_imports_only_pure_modules(path):
    imported = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported - PURE - ALSO_PURE.get(str(path), set()) == set()


@pytest.mark.parametrize("path", core_files(), ids=str)
def test_decision_code_neither_awaits_nor_prints_nor_asks_a_clock(path):
    effects = {"print", "open", "input", "exec", "eval", "signal.signal", "signal.raise_signal"}
    clocks = {"datetime.now", "datetime.today", "datetime.utcnow", "date.today"}
    found = [
        ast.unparse(node)
        for node in nodes(path)
        if isinstance(node, ast.AsyncFunctionDef | ast.Await)
        or (isinstance(node, ast.Call) and ast.unparse(node.func) in effects | clocks)
    ]
    assert found == []
