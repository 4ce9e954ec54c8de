"""Commands that are passed on to the autoscaler's code, as they were typed."""

import sys

import pytest
import typer
from typer.testing import CliRunner

from autoscaler.replay.__main__ import app as replay_app
from controlplane.cli import replays
from controlplane.cli.main import app


@pytest.fixture
def ran(monkeypatch):
    """The command lines that would have replaced the process."""
    found = []
    monkeypatch.setattr("os.execv", lambda program, arguments: found.append((program, arguments)))
    return found


@pytest.mark.parametrize("name", replays.COMMANDS)
def test_arguments_and_help_are_passed_on_as_they_came(name, ran, monkeypatch):
    monkeypatch.setenv("TIDEGATE_STORE_URL", "unix:///elsewhere")
    typed = ["--trace", "a b.csv", "-x", "--", "--help", "--json=1"]
    assert CliRunner().invoke(app, [name, *typed]).exit_code == 0
    assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0
    whole = [sys.executable, "-m", "autoscaler.replay", name]
    assert ran[1] == (sys.executable, [*whole, "--help"])
    assert ran[0][1][:4] == whole
    assert [word for word in ran[0][1][4:] if word != "--"] == [w for w in typed if w != "--"]


@pytest.mark.parametrize(("name", "summary"), replays.COMMANDS.items())
def test_the_program_says_of_them_what_they_say_of_themselves(name, summary):
    command = typer.main.get_command(replay_app).commands[name]
    first = " ".join(command.help.split()).partition(". ")[0].rstrip(".")
    assert first.startswith(summary.rstrip("."))


def test_the_program_has_every_command_of_the_other():
    known = typer.main.get_command(app).commands
    assert set(typer.main.get_command(replay_app).commands) - set(known) == set()


def test_a_command_that_reads_the_store_is_told_of_the_running_one(ran, monkeypatch, tmp_path):
    monkeypatch.delenv("TIDEGATE_STORE_URL", raising=False)
    monkeypatch.setenv("TIDEGATE_UP_DATA_DIR", str(tmp_path))
    assert CliRunner().invoke(app, ["record", "out"]).exit_code == 0
    assert len(ran) == 1, "without a running one the command itself says what is missing"
