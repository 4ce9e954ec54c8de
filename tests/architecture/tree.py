"""The files of this project as a clone has them: no caches, environments or results of runs."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("gateway", "autoscaler", "controlplane")
KEPT_HIDDEN = {".ci", ".gitignore"}
LEFT_OUT = {"__pycache__", "build", "dist", "demo-out"}
TEXT = {".py", ".md", ".toml", ".lua", ".yaml", ".yml", ".html", ".css", ".js", ".sh", ""}


@cache
def files() -> tuple[Path, ...]:
    """All files, relative to the root."""
    return tuple(sorted(path.relative_to(ROOT) for path in _walk(ROOT)))


def python_files(*tops: str) -> list[Path]:
    """Python files below the given top-level directories; without any, all of them."""
    return [p for p in files() if p.suffix == ".py" and (not tops or p.parts[0] in tops)]


def text_files() -> list[Path]:
    """Files whose text people read or edit."""
    return [p for p in files() if p.suffix in TEXT]


def core_files() -> list[Path]:
    """Decision code: pure, fully covered, no pragma."""
    return [
        p
        for p in python_files(*PRODUCT)
        if "core" in p.parts or p.parts[:2] == ("controlplane", "model") or _is_lifecycle(p)
    ]


@cache
def read(path: Path) -> str:
    """Text of a file given relative to the root."""
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of a module's syntax tree."""
    return tuple(ast.walk(ast.parse(read(path))))


def _is_lifecycle(path: Path) -> bool:
    return path.parts[:1] == ("controlplane",) and path.parts[1].startswith("lifecycle")


def _walk(directory: Path) -> Iterator[Path]:
    for path in directory.iterdir():
        hidden = path.name.startswith(".") and path.name not in KEPT_HIDDEN
        if hidden or path.name in LEFT_OUT or path.name.endswith(".egg-info"):
            continue
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path
