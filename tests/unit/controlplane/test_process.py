"""What every process does at its start: settings from everywhere, one log line per event."""

import json
import logging
import os

import pytest

from controlplane.model.sections import LogSettings
from controlplane.model.settings import SettingsError
from controlplane.process import JsonFormatter, read_settings, setup_logging


@pytest.fixture(autouse=True)
def no_settings_in_the_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("TIDEGATE_"):
            monkeypatch.delenv(name)


@pytest.fixture
def root_logger():
    """The root logger, put back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    for handler in handlers:
        root.removeHandler(handler)
    yield root
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tidegate.toml"
    path.write_text('[gateway]\nport = 7000\nhost = "::1"\n')
    return path


def test_a_file_the_environment_and_flags_are_read(config, monkeypatch):
    monkeypatch.setenv("TIDEGATE_GATEWAY_PORT", "7001")
    settings, _ = read_settings(config=str(config), flags={"gateway.admin_port": "7002"})
    assert (settings.gateway.host, settings.gateway.port) == ("::1", 7001)
    assert settings.gateway.admin_port == 7002


def test_the_environment_may_name_the_file(config, monkeypatch):
    monkeypatch.setenv("TIDEGATE_CONFIG", str(config))
    assert read_settings()[0].gateway.port == 7000


def test_without_a_file_there_are_defaults():
    assert read_settings()[0].gateway.port == 8080


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, r"config file .*none.toml: No such file", id="missing"),
        pytest.param("port =", "not valid TOML", id="not-toml"),
        pytest.param("[gateway]\nprot = 1", "none.toml: unknown setting", id="the-file-is-named"),
        pytest.param("[gateway]\nprot = 1", "did you mean 'port'", id="unknown-key"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(tmp_path, content, message):
    path = tmp_path / "none.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=message):
        read_settings(config=str(path))


def test_a_log_line_is_one_json_object_with_its_extra_fields(root_logger, capsys):
    setup_logging("gateway-0", LogSettings(format="json"))
    logging.getLogger("x").warning("line\none %s", "arg", extra={"workload_id": "w", "count": 3})
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    event = json.loads(line)
    assert event.pop("time").endswith("Z")
    assert event == {
        "level": "warning",
        "process": "gateway-0",
        "logger": "x",
        "message": "line\none arg",
        "workload_id": "w",
        "count": 3,
    }


def test_times_are_utc_with_milliseconds():
    record = logging.makeLogRecord({"created": 86_400.0, "msecs": 7.0, "msg": "x"})
    assert json.loads(JsonFormatter("p").format(record))["time"] == "1970-01-02T00:00:00.007Z"


def test_exceptions_are_part_of_the_line_and_odd_values_do_not_break_it(root_logger, capsys):
    setup_logging("api", LogSettings(format="json"))
    try:
        int("a bug")
    except ValueError:
        logging.getLogger().exception("failed", extra={"path": object()})
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: invalid literal" in json.loads(line)["exception"]


def test_text_is_for_people(root_logger, capsys):
    setup_logging("api", LogSettings(format="text"))
    logging.getLogger().info("hello")
    assert " api INFO hello" in capsys.readouterr().err


@pytest.mark.parametrize(("terminal", "is_json"), [(True, False), (False, True)])
def test_auto_is_text_on_a_terminal_and_json_elsewhere(root_logger, monkeypatch, terminal, is_json):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    setup_logging("api", LogSettings(format="auto"))
    (handler,) = root_logger.handlers
    assert isinstance(handler.formatter, JsonFormatter) is is_json


def test_less_than_the_level_is_not_written(root_logger, capsys):
    setup_logging("api", LogSettings(level="error", format="json"))
    logging.getLogger().warning("quiet")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param(LogSettings(level="loud"), "log.level: 'loud'", id="level"),
        pytest.param(LogSettings(format="xml"), "log.format: 'xml'", id="format"),
    ],
)
def test_unknown_levels_and_formats_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        setup_logging("api", settings)
