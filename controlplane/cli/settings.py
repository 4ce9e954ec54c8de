"""Settings from the command line: `--config`, `--set section.key=value`, and named flags."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from controlplane.cli.errors import CliError, ExitCode
from controlplane.model.sections import Settings
from controlplane.model.settings import SettingsError, Value
from controlplane.process import read_settings


def load_settings(
    *,
    config: Path | None = None,
    assignments: Sequence[str] = (),
    named: Mapping[str, str | int | bool | Path | None] | None = None,
) -> tuple[Settings, list[Value]]:
    """The effective settings of this command.

    Args:
        config: The TOML file; None: `TIDEGATE_CONFIG`, or no file.
        assignments: `section.key=value` texts of `--set`.
        named: `section.key` to the value of a flag; None where the flag was not given. A flag
            that is named wins over `--set`.

    Raises:
        CliError: A setting is unknown, does not fit, or the file cannot be read.
    """
    flags: dict[str, str] = {}
    for text in assignments:
        key, separator, value = text.partition("=")
        if not separator or "." not in key:
            raise CliError(
                f"--set {text!r} is not section.key=value",
                hint="For example: --set autoscaler.cooldown_s=30. `tidegate config` lists all.",
                code=ExitCode.USAGE,
            )
        flags[key.strip()] = value.strip()
    for key, given in (named or {}).items():
        if given is not None:
            flags[key] = str(given).lower() if isinstance(given, bool) else str(given)
    try:
        return read_settings(flags=flags, config=str(config) if config else None)
    except SettingsError as exc:
        raise CliError(
            str(exc), hint="`tidegate config` lists every setting.", code=ExitCode.USAGE
        ) from exc


def data_directory(settings: Settings) -> Path:
    """Absolute path of the data directory; it need not exist."""
    return Path(settings.up.data_dir).expanduser().absolute()
