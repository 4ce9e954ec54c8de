"""What every process of an installation does the same way at its start: settings and logs.

Import-light on purpose: the gateway uses it too. Decisions do not belong here.
"""

import json
import logging
import os
import sys
import time
import tomllib
from pathlib import Path

from controlplane.model.sections import LogSettings, Settings
from controlplane.model.settings import SettingsError, Value, resolve

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def read_settings(
    *, flags: dict[str, str] | None = None, config: str | None = None
) -> tuple[Settings, list[Value]]:
    """Settings of this process from defaults, config file, environment and flags.

    Args:
        flags: `section.key` to text, from the command line.
        config: Path of a TOML file; None: `TIDEGATE_CONFIG` from the environment, else no file.

    Raises:
        SettingsError: Names the file or the setting, and the remedy.
    """
    path = config or os.environ.get("TIDEGATE_CONFIG")
    file: dict[str, object] = {}
    if path:
        try:
            file = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as exc:
            raise SettingsError(f"config file {path}: {exc.strerror}") from exc
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
            raise SettingsError(f"config file {path}: not valid TOML: {exc}") from exc
        try:
            resolve(file=file)
        except SettingsError as exc:
            raise SettingsError(f"config file {path}: {exc}") from exc
    return resolve(file=file, environ=os.environ, flags=flags)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, process, logger, message, and the `extra` fields."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{when}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({k: v for k, v in record.__dict__.items() if k not in _STANDARD})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def setup_logging(process: str, settings: LogSettings) -> None:
    """Send all logs of this process to standard error.

    Args:
        process: The process's name in every line, for example `gateway-0`.
        settings: Level, and `json`, `text` or `auto` (text on a terminal).

    Raises:
        SettingsError: The level or format is unknown.
    """
    level = logging.getLevelNamesMapping().get(settings.level.upper())
    if level is None:
        raise SettingsError(f"log.level: {settings.level!r} is not debug, info, warning or error")
    if settings.format not in {"auto", "json", "text"}:
        raise SettingsError(f"log.format: {settings.format!r} is not auto, json or text")
    text = settings.format == "text" or (settings.format == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        logging.Formatter(f"%(asctime)s {process} %(levelname)s %(message)s")
        if text
        else JsonFormatter(process)
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
