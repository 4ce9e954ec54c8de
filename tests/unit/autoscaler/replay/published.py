"""The published test tables of Knative, KEDA and the HPA; they are not part of the repository."""

import json
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).resolve().parents[4].parent / "shared" / "cases" / "scaling_cases.json"


def published_cases() -> dict[str, Any]:
    """All tables; skips the test where they are not at hand."""
    if not CASES.exists():
        pytest.skip(f"needs the published tables in {CASES}")
    return json.loads(CASES.read_text(encoding="utf-8"))
