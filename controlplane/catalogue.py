"""The catalogue of bundles as a file: the one that a setting names, or the built-in examples."""

from pathlib import Path
from typing import Final

import yaml

from controlplane.model.bundles import Bundle
from controlplane.model.catalogue import CatalogueError, parse_catalogue
from controlplane.model.settings import SettingsError

BUILT_IN: Final = Path(__file__).with_name("catalogue.yaml")


def read_catalogue(path: str | None) -> tuple[Bundle, ...]:
    """The bundles of a YAML file.

    Args:
        path: `api.bundles_file`; None: the built-in catalogue.

    Raises:
        SettingsError: It cannot be read, or says something wrong; names file, field and remedy.
    """
    file = BUILT_IN if path is None else Path(path).expanduser()
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as exc:
        raise SettingsError(f"api.bundles_file: cannot read {file}: {exc.strerror}") from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise SettingsError(f"api.bundles_file: {file} is not valid YAML: {exc}") from exc
    try:
        return parse_catalogue(raw)
    except CatalogueError as exc:
        raise SettingsError(f"api.bundles_file: {file}: {exc}") from exc
