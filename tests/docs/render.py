"""Pages that are made from the code: `python -m tests.docs.render` writes them.

A test compares what stands in the tree with what this module makes.
"""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import typer

from autoscaler.replay.__main__ import app as replay_app
from controlplane.cli import replays
from controlplane.cli.main import app
from controlplane.model import sections
from controlplane.model.sections import Settings
from controlplane.model.settings import env_name

ROOT = Path(__file__).resolve().parents[2]
SETTINGS_PAGE = Path("controlplane/SETTINGS.md")
COMMANDS_PAGE = Path("controlplane/COMMANDS.md")

_INTRO = """\
# Settings

<!-- Made from controlplane/model/sections.py by `python -m tests.docs.render`; edits are lost. -->

Every setting has three names: `section.key` as a flag (`--set gateway.queue_limit=500`), `key`
under `[section]` in the TOML file that `--config` or `TIDEGATE_CONFIG` names, and the environment
variable below. Flags win over the environment, the environment over the file, the file over the
defaults. `tidegate config` prints every value in force and where it came from; an unknown name is
refused with the nearest known one. Names end in their unit: `_s` seconds, `_bytes` bytes, `_ratio`
a share from 0 to 1.
"""


_COMMANDS_INTRO = """\
# Commands

<!-- Made from the program itself by `python -m tests.docs.render`; edits are lost. -->

Every command knows `--help`; `tidegate --install-completion` completes in your shell.
"""


def commands_page() -> str:
    """Every command with its options, in the order of the program's own list.

    Composed from the commands themselves: the layout of `--help` is typer's and changes.
    """
    parts = [_COMMANDS_INTRO]
    for words, command in _walk(_program(), ()):
        rows = [row for param in command.params if (row := _option_row(param))]
        parts += [f"\n{'#' * (len(words) + 1)} {' '.join(('tidegate', *words))}\n"] if words else []
        parts += [f"{command.help}\n" if command.help else ""]
        parts += ["| option | meaning |\n|---|---|", *rows] if rows else []
    return "\n".join(parts).rstrip() + "\n"


def _option_row(param: Any) -> str | None:
    """One row of a command's table; None for options that typer adds everywhere."""
    names = [*param.opts, *param.secondary_opts]
    if set(names) & {"--help", "--install-completion", "--show-completion"}:
        return None
    if param.param_type_name == "argument":
        names = [(param.metavar or param.name).upper()]
    elif param.metavar:
        names[-1] += f" {param.metavar}"
    shown = ", ".join(f"`{name}`" for name in names)
    return f"| {shown} | {param.help or ''} |".replace("\n", " ")


def _program() -> Any:
    """The whole program; what it passes on to the autoscaler's code, as that has it."""
    program = typer.main.get_command(app)
    passed_on = typer.main.get_command(replay_app).commands
    program.commands.update({name: passed_on[name] for name in replays.COMMANDS})
    return program


def _walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, child in getattr(command, "commands", {}).items():
        yield from _walk(child, (*words, name))


def commands() -> dict[tuple[str, ...], set[str]]:
    """Every command's words, and the options it knows."""
    return {
        words: {"--help", *(n for p in command.params for n in (*p.opts, *p.secondary_opts))}
        for words, command in _walk(_program(), ())
    }


def settings_page() -> str:
    """All settings with their defaults, variables and meanings."""
    parts = [_INTRO]
    for section, summary, rows in described():
        parts += [
            f"\n## `[{section}]`\n\n{summary}\n",
            "| key | default | environment | meaning |\n|---|---|---|---|",
            *[
                f"| `{key}` | {_shown(default)} | `{env_name(section, key)}` | {meaning} |"
                for key, default, meaning in rows
            ],
        ]
    return "\n".join(parts) + "\n"


def described() -> Iterator[tuple[str, str, list[tuple[str, object, str]]]]:
    """Sections with their summary and their rows of key, default and documentation."""
    tree = ast.parse(inspect.getsource(sections))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    for section in fields(Settings):
        kind = type(getattr(Settings(), section.name))
        texts = _field_docs(classes[kind.__name__])
        rows = [(f.name, f.default, texts.get(f.name, "")) for f in fields(kind)]
        yield section.name, inspect.getdoc(kind) or "", rows


def _field_docs(node: ast.ClassDef) -> dict[str, str]:
    """The string that follows each annotated field, on one line."""
    found = {}
    for field, after in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            found[field.target.id] = " ".join(str(after.value.value).split())
    return found


def _shown(value: object) -> str:
    if value is None or value == "":
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


def main() -> None:
    """Write all pages."""
    (ROOT / SETTINGS_PAGE).write_text(settings_page(), encoding="utf-8")
    (ROOT / COMMANDS_PAGE).write_text(commands_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
