"""Settings of all processes: defaults < config file < environment < flags, each with its source.

One tree, one file, one environment prefix: `[gateway] queue_limit` in the file is
`TIDEGATE_GATEWAY_QUEUE_LIMIT` in the environment and `--set gateway.queue_limit=...` as a flag.
All sections live in `controlplane.model.sections`, so that `tidegate config` can print them and
unknown keys are refused before anything starts. Pure: callers read the file and the environment.
"""

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields

import msgspec

from controlplane.model.sections import Settings
from controlplane.model.words import did_you_mean

ENV_PREFIX = "TIDEGATE_"
_LAST_PORT = 65_535

NOT_SETTINGS = frozenset({"TIDEGATE_TOKEN", "TIDEGATE_API_URL", "TIDEGATE_CONFIG"})
"""Environment variables of the CLI that share the prefix."""

RESERVED_PREFIXES = ("TIDEGATE_REPLICA_", "TIDEGATE_TEST_")
"""Markers that the reconciler puts on replicas, and the test suite's own switches."""


class SettingsError(ValueError):
    """A setting is unknown or has a wrong value; the message names it and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One effective setting."""

    section: str
    key: str
    value: object
    source: str
    """`default`, `file`, `env NAME`, or `flag`."""


def resolve(
    *,
    file: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> tuple[Settings, list[Value]]:
    """Merge the four layers.

    Args:
        file: The parsed config file: section to table.
        environ: The environment; only `TIDEGATE_*` is looked at.
        flags: `section.key` to text.

    Returns:
        The settings, and every value with its source in section order.

    Raises:
        SettingsError: An unknown section, key or variable (with "did you mean"), or a value
            that does not fit its type.
    """
    given: dict[tuple[str, str], tuple[object, str]] = {}
    for section, table in (file or {}).items():
        _known_section(section)
        if not isinstance(table, Mapping):
            raise SettingsError(f"{section}: expected a table, as in [{section}]")
        for key, value in table.items():
            _known_key(section, key)
            given[section, key] = (value, "file")
    for name, text in (environ or {}).items():
        if name.startswith(ENV_PREFIX) and name not in NOT_SETTINGS:
            if name.startswith(RESERVED_PREFIXES):
                continue
            given[_split_env(name)] = (text, f"env {name}")
    for dotted, text in (flags or {}).items():
        section, _, key = dotted.partition(".")
        _known_section(section)
        _known_key(section, key)
        given[section, key] = (text, "flag")
    return _build(given)


def to_environ(values: list[Value]) -> dict[str, str]:
    """The non-default values as environment variables, for a child process."""
    return {env_name(v.section, v.key): _to_text(v.value) for v in values if v.source != "default"}


def env_name(section: str, key: str) -> str:
    """The environment variable of a setting."""
    return f"{ENV_PREFIX}{section}_{key}".upper()


def _build(given: Mapping[tuple[str, str], tuple[object, str]]) -> tuple[Settings, list[Value]]:
    tables: dict[str, object] = {}
    values: list[Value] = []
    for section, kind in _sections().items():
        hints = typing.get_type_hints(kind)
        table: dict[str, object] = {}
        for field in fields(kind):
            raw, source = given.get((section, field.name), (field.default, "default"))
            value = raw
            if source != "default":
                value = _convert(
                    raw, hints[field.name], where=f"{section}.{field.name}", via=source
                )
            table[field.name] = value
            values.append(Value(section=section, key=field.name, value=value, source=source))
        try:
            tables[section] = kind(**table)
        except ValueError as exc:
            raise SettingsError(f"{section}: {exc}") from exc
    return Settings(**tables), values  # type: ignore[arg-type]


def _convert(raw: object, hint: object, *, where: str, via: str) -> object:
    if raw == "" and types.NoneType in typing.get_args(hint):
        return None
    try:
        value = msgspec.convert(raw, hint, strict=not isinstance(raw, str))
    except msgspec.ValidationError as exc:
        raise SettingsError(f"{where} ({via}): {raw!r} does not fit: {exc}") from exc
    if isinstance(value, int | float):
        _check_number(value, where=where, via=via)
    return value


def _check_number(value: float, *, where: str, via: str) -> None:
    """No setting is negative, endless or not a number, and ports end at 65535."""
    highest = _LAST_PORT if where.endswith("port") else math.inf
    if not 0 <= value <= highest or value == math.inf:
        limit = f" and at most {highest}" if highest < math.inf else ""
        raise SettingsError(f"{where} ({via}): {value!r} is out of range, at least 0{limit}")


def _to_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _sections() -> dict[str, type]:
    return {f.name: typing.get_type_hints(Settings)[f.name] for f in fields(Settings)}


def _known_section(section: str) -> None:
    sections = _sections()
    if section not in sections:
        raise SettingsError(f"unknown section {section!r}{_hint(section, list(sections))}")


def _known_key(section: str, key: str) -> None:
    keys = [f.name for f in fields(_sections()[section])]
    if key not in keys:
        raise SettingsError(f"unknown setting {section}.{key}{_hint(key, keys)}")


def _split_env(name: str) -> tuple[str, str]:
    for section, kind in _sections().items():
        for field in fields(kind):
            if env_name(section, field.name) == name:
                return section, field.name
    names = [env_name(s, f.name) for s, kind in _sections().items() for f in fields(kind)]
    raise SettingsError(f"unknown environment variable {name}{_hint(name, names)}")


def _hint(word: str, words: list[str]) -> str:
    return did_you_mean(word, words) or f"; known: {', '.join(sorted(words))}"
