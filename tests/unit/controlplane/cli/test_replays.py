"""Commands that are passed on to the autoscaler's code, as they were typed."""

import os
import sys

import pytest
import typer
from typer.testing import CliRunner

from autoscaler.replay.__main__ import app as replay_app
from controlplane.cli import replays
from controlplane.cli.datadir import DataDir, RunInfo
from controlplane.cli.errors import CliError
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


@pytest.fixture
def installation(tmp_path):
    """A data directory that a supervisor owns."""
    with DataDir.claim(tmp_path / "data") as held:
        held.write_run(
            RunInfo(
                pid=os.getpid(),
                started_at=0.0,
                data_dir=str(held.path),
                api_url="",
                gateway_url="",
                admin_urls=[],
                store_url="unix:///of/this/one",
            )
        )
        yield held.path


@pytest.mark.parametrize("form", ["--data-dir {}", "--data-dir={}"])
def test_the_data_directory_that_is_named_wins_over_a_store_that_is_set(
    form, installation, ran, monkeypatch
):
    monkeypatch.setenv("TIDEGATE_STORE_URL", "unix:///elsewhere")
    words = form.format(installation).split()
    assert CliRunner().invoke(app, ["record", "out", *words]).exit_code == 0
    assert os.environ["TIDEGATE_STORE_URL"] == "unix:///of/this/one"
    assert ran[0][1][-len(words) :] == words


def test_a_named_data_directory_on_which_nothing_runs_is_refused(ran, tmp_path, monkeypatch):
    monkeypatch.delenv("TIDEGATE_STORE_URL", raising=False)
    found = CliRunner().invoke(app, ["record", "out", "--data-dir", str(tmp_path)])
    assert isinstance(found.exception, CliError)
    assert str(tmp_path) in str(found.exception)
    assert not ran


def test_a_command_that_reads_the_store_is_told_of_the_running_one(ran, monkeypatch, tmp_path):
    monkeypatch.delenv("TIDEGATE_STORE_URL", raising=False)
    monkeypatch.setenv("TIDEGATE_UP_DATA_DIR", str(tmp_path))
    assert CliRunner().invoke(app, ["record", "out"]).exit_code == 0
    assert len(ran) == 1, "without a running one the command itself says what is missing"
