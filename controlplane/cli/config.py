"""`tidegate config`: every setting, its value, and where the value comes from."""

from controlplane.cli import options
from controlplane.cli.output import print_json, print_table
from controlplane.cli.settings import load_settings
from controlplane.cli.stores import without_password
from controlplane.model.settings import Value, env_name


def config(
    *,
    config: options.Config = None,
    assignments: options.Assignments = None,
    as_json: options.Json = False,
) -> None:
    """Print every setting with its value and its source.

    Layers: defaults, then the config file, then the environment, then flags; the later wins.
    """
    _, values = load_settings(config=config, assignments=assignments or ())
    if as_json:
        print_json(
            [
                {
                    "section": value.section,
                    "key": value.key,
                    "value": _public(value),
                    "source": value.source,
                    "env": env_name(value.section, value.key),
                }
                for value in values
            ]
        )
        return
    print_table(
        ["SETTING", "VALUE", "SOURCE"],
        [(f"{value.section}.{value.key}", _shown(value), value.source) for value in values],
    )


def _public(value: Value) -> object:
    """A value without the secret that a URL may hold: this output goes into bug reports."""
    return without_password(value.value) if isinstance(value.value, str) else value.value


def _shown(value: Value) -> str:
    """A value as the config file would have it; nothing set is `-`."""
    public = _public(value)
    if public is None:
        return "-"
    if isinstance(public, bool):
        return "true" if public else "false"
    return str(public)
