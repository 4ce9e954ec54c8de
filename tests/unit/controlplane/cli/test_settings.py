from pathlib import Path

import pytest

from controlplane.cli.errors import CliError, ExitCode
from controlplane.cli.settings import data_directory, load_settings


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    monkeypatch.delenv("TIDEGATE_CONFIG", raising=False)


def test_named_flags_win_over_set_and_absent_ones_do_not_count(tmp_path):
    settings, _ = load_settings(
        assignments=["gateway.port=1000", "api.port=2000"],
        named={"gateway.port": 3000, "api.host": None, "store.allow_volatile": True},
    )
    assert (settings.gateway.port, settings.api.port) == (3000, 2000)
    assert settings.api.host == "127.0.0.1"
    assert settings.store.allow_volatile


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("gateway.port", "is not section.key=value", id="no-value"),
        pytest.param("port=3", "is not section.key=value", id="no-section"),
        pytest.param("gatewai.port=3", "did you mean 'gateway'", id="section"),
        pytest.param("gateway.prot=3", "did you mean 'port'", id="key"),
        pytest.param("gateway.port=x", "does not fit", id="type"),
    ],
)
def test_wrong_assignments_are_a_usage_error(text, words):
    with pytest.raises(CliError, match=words) as caught:
        load_settings(assignments=[text])
    assert caught.value.code is ExitCode.USAGE


def test_a_config_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(CliError, match=r"missing\.toml"):
        load_settings(config=tmp_path / "missing.toml")


def test_the_data_directory_is_absolute():
    settings, _ = load_settings(named={"up.data_dir": "~/x"})
    assert data_directory(settings) == Path.home() / "x"
