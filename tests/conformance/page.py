"""The conformance page: made from the results of one run, kept beside the cases."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.conformance.cases.catalogue import GROUPS
from tests.conformance.runner import Result
from tests.conformance.script import Case, Grade, Group

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = Path("gateway/CONFORMANCE.md")
RESULTS: Final = Path("tests/conformance/results.json")

Record = dict[str, Any]
"""`versions`: by proxy; `cases`: by id, with the `digest` of what was sent and the `cells`."""

_SIGNS: Final = {Grade.PASS: "✓", Grade.DIFFERS: "○", Grade.FAIL: "✗"}

_INTRO: Final = """\
# Conformance

<!-- Made by `python -m tests.conformance --render` from a run; edits are lost. -->

The same {count} cases, sent in one run to Tidegate and to five proxies, each configured as its
documentation shows for a reverse proxy with WebSockets and otherwise left at its defaults
(`tests/conformance/peers.py`). The bytes are the same for all, but for the invoke URL's path and
the token that Tidegate wants. A scripted origin and a raw client record what reaches them, and
pure functions judge it (`tests/conformance/verdicts.py`), with h11 as a second reader of every
request that went on.

* ✓ right. Where the RFCs leave a choice, each choice is right: what is ambiguous may be refused, or
  forwarded as one unambiguous message.
* ○ legal, but not what was asked for: a feature that is not offered, a body that is held back, a
  SHOULD that is not followed.
* ✗ breaks the rule in the section that is named, or lets through what another parser would read
  differently.

What does not pass is sent a second time with little else going on, and that outcome counts.
`python -m tests.conformance --peer NAME --case ID -v` shows the bytes of any cell.

## Summary

A number alone: all cases are ✓.

"""


def record(results: Mapping[str, Sequence[Result]], versions: Mapping[str, str]) -> Record:
    """What is kept of a run."""
    cells: dict[str, dict[str, list[str]]] = {}
    for name, found in results.items():
        for result in found:
            verdict = result.verdict
            cell = [verdict.grade.value] + ([verdict.reason] if verdict.reason else [])
            cells.setdefault(result.case_id, {})[name] = cell
    return {
        "versions": {name: versions.get(name, "") for name in results},
        "cases": {
            case.id: {"digest": digest(case), "cells": cells[case.id]}
            for group in GROUPS
            for case in group.cases
        },
    }


def digest(case: Case) -> str:
    """Changes with what a case sends and answers."""
    told = repr((case.client, case.turns, case.answers, case.methods, case.ends))
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def write(kept: Record) -> None:
    """Write the results and the page."""
    text = _text(kept)
    (ROOT / RESULTS).write_text(text, encoding="utf-8")
    (ROOT / PAGE).write_text(render(kept), encoding="utf-8")


def _text(kept: Record) -> str:
    """JSON with a line per case, so that changes can be read."""
    lines = [f"  {json.dumps(name)}: {json.dumps(cell)}" for name, cell in kept["cases"].items()]
    versions = json.dumps(kept["versions"])
    return f'{{\n "versions": {versions},\n "cases": {{\n' + ",\n".join(lines) + "\n }\n}\n"


def load() -> Record:
    """The results that are kept."""
    kept: Record = json.loads((ROOT / RESULTS).read_text(encoding="utf-8"))
    return kept


def render(kept: Record) -> str:
    """The page's text."""
    names = list(kept["versions"])
    titles = [f"{name} {version}".strip() for name, version in kept["versions"].items()]
    parts = [_INTRO.format(count=len(kept["cases"]))]
    parts.append(_row("feature", "cases", *titles))
    parts.append("|---|--:|" + "--:|" * len(names) + "\n")
    for group in GROUPS:
        counts = [_count(kept, group.cases, name) for name in names]
        parts.append(
            _row(f"[{group.name}](#{_anchor(group.name)})", str(len(group.cases)), *counts)
        )
    every = [case for group in GROUPS for case in group.cases]
    counts = [_count(kept, every, name) for name in names]
    parts.append(_row("**all**", f"**{len(every)}**", *(f"**{count}**" for count in counts)))
    parts += [_section(kept, group, names) for group in GROUPS]
    return "".join(parts)


def _section(kept: Record, group: Group, names: list[str]) -> str:
    parts = [f"\n## {group.name}\n\n{group.rule}\n\n"]
    parts.append(_row("case", "what", "RFC", *names))
    parts.append("|---|---|---|" + ":-:|" * len(names) + "\n")
    notes = []
    for case in group.cases:
        cells = kept["cases"][case.id]["cells"]
        signs = [_SIGNS[Grade(cells[name][0])] for name in names]
        parts.append(_row(f"`{case.id}`", case.title, case.section, *signs))
        notes += [
            f"* `{case.id}` {_SIGNS[Grade(grade)]} {name}: {_escaped(' '.join(reasons))}\n"
            for name in names
            for grade, *reasons in [cells[name]]
            if grade != Grade.PASS
        ]
    return "".join([*parts, *(["\n"] if notes else []), *notes])


def _count(kept: Record, cases: Sequence[Case], name: str) -> str:
    grades = [kept["cases"][case.id]["cells"][name][0] for case in cases]
    passed, differs, failed = (grades.count(grade.value) for grade in Grade)
    parts = [str(passed), f"{differs} ○" if differs else "", f"{failed} ✗" if failed else ""]
    return ", ".join(part for part in parts if part)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _escaped(reason: str) -> str:
    return reason.replace("|", "\\|").replace("\n", " ").replace("*", "\\*")


def _anchor(name: str) -> str:
    kept = "".join(c for c in name.lower() if c.isalnum() or c in " -_")
    return kept.strip().replace(" ", "-")
