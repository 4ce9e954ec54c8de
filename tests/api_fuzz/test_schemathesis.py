"""Schemathesis drives the served API by its own document: examples, edges, generated data.

It must find no server error, and no status, content type, header or body that is not announced;
data that the document forbids must be refused, methods that it does not have are 405 with `Allow`.
`positive_data_acceptance` is left out: rules between fields (one primary container, exactly one of
`artifact` and `artifactId`) cannot be said in JSON Schema, so that it counts our 422s as faults.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api_fuzz.served import served

SEED = "20261122"
OLD_FAMILY = "^/api/v2/(console|registry)/"
"""Mostly the same routes once more, under other paths: left to the slow set."""
COPIES = [
    "PUT /api/v2/artifacts/{artifact_id}",
    "PATCH /api/v2/artifacts/{artifact_id}",
    "PATCH /api/v2/workloads/{workload_id}/settings",
    "POST /api/v2/workloads/{workload_id}/replacement",
]
"""A third of all cases: what their bodies are made of, those that create artifacts and workloads
have too. Left to the slow set; test_wrong_bodies is about every operation."""
COMMAND = [
    *(sys.executable, "-m", "schemathesis.cli", "run"),
    *("--seed", SEED, "--generation-deterministic"),
    *("--checks", "all", "--exclude-checks", "positive_data_acceptance"),
    *("--mode", "all", "--continue-on-failure", "--request-timeout", "60", "--no-color"),
    # One thread: CPython 3.11 may fail with "AST constructor recursion depth mismatch" when two of
    # Hypothesis's threads parse at once, and the interpreter runs only one of them anyway.
    *("--warnings", "off", "--suppress-health-check", "all", "--workers", "1"),
]


def run(store_url: str, directory: Path, *arguments: str) -> None:
    with served(store_url) as api:
        # Schemathesis gives the document ten seconds: it is made at the first request.
        with api.client() as first:
            assert first.get("/api/v2/openapi.json").status_code == 200
        told = subprocess.run(
            [
                *(*COMMAND, *arguments),
                *("--header", f"Authorization: Bearer {api.token}"),
                f"{api.url}/api/v2/openapi.json",
            ],
            cwd=directory,
            env={**os.environ, "SCHEMATHESIS_HOOKS": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        said = f"{told.stdout[-20_000:]}\n{told.stderr[-5_000:]}"
        assert not api.faults(), f"{api.faults()[:3]}\n{said}"
        assert told.returncode == 0, said


@pytest.mark.timeout(600)
def test_edges_and_examples_of_every_operation_are_answered_as_described(store_url, tmp_path):
    run(
        store_url,
        tmp_path,
        *("--phases", "examples,coverage"),
        *("--exclude-path-regex", OLD_FAMILY),
        *(word for name in COPIES for word in ("--exclude-name", name)),
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_edges_and_examples_of_bodies_seen_before_are_answered_as_described(store_url, tmp_path):
    run(
        store_url,
        tmp_path,
        *("--phases", "examples,coverage"),
        *(word for name in COPIES for word in ("--include-name", name)),
    )


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_edges_and_examples_of_the_old_family_are_answered_as_described(store_url, tmp_path):
    run(
        store_url,
        tmp_path,
        *("--phases", "examples,coverage,fuzzing", "--max-examples", "10"),
        *("--include-path-regex", OLD_FAMILY),
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_chains_of_operations_and_generated_data_are_answered_as_described(store_url, tmp_path):
    run(
        store_url,
        tmp_path,
        *("--phases", "fuzzing,stateful", "--max-examples", "60", "--max-time", "900"),
    )
