"""`python -m autoscaler`: decides how many replicas run, and has them run."""

import logging
import sys
from pathlib import Path

import uvloop

from autoscaler import native
from controlplane.model.settings import SettingsError
from controlplane.process import read_settings, setup_logging
from controlplane.store.errors import StoreError

logger = logging.getLogger("autoscaler")


def main() -> int:
    """Entry point; returns the exit code."""
    try:
        settings, _ = read_settings()
        setup_logging("autoscaler", settings.log)
    except SettingsError as exc:
        sys.stderr.write(f"autoscaler: {exc}\n")
        return 2
    compiled = settings.autoscaler.native != "off" and native.activate()
    if settings.autoscaler.native == "required" and not compiled:
        logger.error(
            "autoscaler.native is `required`, but nothing is compiled from these sources: "
            "run `python -m autoscaler.build`"
        )
        return 1
    # Compiled or not: decided above.
    from autoscaler.inventory import InventoryError  # noqa: PLC0415
    from autoscaler.serving import serve  # noqa: PLC0415

    logger.info("starting", extra={"compiled": compiled})
    try:
        uvloop.run(serve(settings, Path(settings.up.data_dir).expanduser()))
    except (StoreError, OSError, InventoryError) as exc:
        logger.error("cannot serve: %s", exc)  # noqa: TRY400 - the sentence says it all
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
