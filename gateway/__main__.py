"""`python -m gateway`: one gateway worker. Settings come from the environment and a file."""

import logging
import sys

import uvloop

from controlplane.model.settings import SettingsError
from controlplane.process import read_settings, setup_logging
from controlplane.store.errors import StoreError
from gateway import native, tuning


async def _serve() -> int:
    settings, _ = read_settings()
    setup_logging(f"gateway-{settings.gateway.worker_index}", settings.log)
    compiled = settings.gateway.native != "off" and native.activate()
    if settings.gateway.native == "required" and not compiled:
        logging.getLogger("gateway").error(
            "gateway.native is `required`, but nothing is compiled from these sources: "
            "run `python -m gateway.build`"
        )
        return 1
    from gateway.net.server import GatewayServer  # noqa: PLC0415 - compiled or not: decided above

    tuning.allow_files()
    tuning.keep_memory()
    tuning.collect_rarely()
    logging.getLogger("gateway").info("starting", extra={"compiled": compiled})
    try:
        await GatewayServer(settings).run()
    except StoreError as exc:
        logging.getLogger("gateway").error("cannot start: %s", exc)  # noqa: TRY400 - no trace
        return 1
    except OSError as exc:
        logging.getLogger("gateway").error("cannot listen: %s", exc)  # noqa: TRY400 - no trace
        return 1
    return 0


def main() -> None:
    """Run until SIGTERM or SIGINT; exit 0 after an orderly drain."""
    try:
        sys.exit(uvloop.run(_serve()))
    except SettingsError as exc:
        sys.stderr.write(f"gateway: {exc}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
