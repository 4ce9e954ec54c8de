"""`python -m controlplane.api`: one API process."""

import asyncio
import logging
import signal
import sys
from pathlib import Path

import uvloop

from controlplane.api.app import create_app
from controlplane.api.server import listen, serve
from controlplane.api.services import KINDS, Services
from controlplane.catalogue import read_catalogue
from controlplane.conductor.loop import Conductor
from controlplane.conductor.steps import parts
from controlplane.model.sections import Settings
from controlplane.model.settings import SettingsError
from controlplane.process import read_settings, setup_logging
from controlplane.store.client import Store
from controlplane.store.errors import StoreError
from controlplane.store.watch import Mirror
from controlplane.telemetry.running import intake_running

logger = logging.getLogger("controlplane.api")

EXIT_FAILED = 1
EXIT_USAGE = 2


async def run(settings: Settings) -> None:
    """Serve until told to stop.

    Raises:
        StoreError: The store cannot be reached, or its settings are wrong.
        OSError: The address cannot be listened on.
    """
    loop, here = asyncio.get_running_loop(), asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGINT):  # until `serve` takes them over
        loop.add_signal_handler(number, here.cancel if here is not None else sys.exit)
    embedded = (settings.store.url or "").startswith("unix:")
    data_dir = Path(settings.up.data_dir).expanduser() if embedded else None  # noqa: ASYNC240 - once
    with listen(settings.api) as sock:
        logger.info("connecting to the store")
        async with await Store.connect(
            settings.store, client_name="tidegate-api", data_dir=data_dir
        ) as store:
            mirror = Mirror(store, KINDS)
            await mirror.start()
            try:
                async with intake_running(settings, store, mirror) as intake:
                    services = Services(
                        store=store, mirror=mirror, settings=settings, intake=intake
                    )
                    async with Conductor(services, parts).running():
                        await serve(create_app(services), sock)
            finally:
                await mirror.stop()


def main() -> int:
    """Run the process; 0 after an orderly stop, 1 when it failed, 2 for wrong settings."""
    try:
        settings, _ = read_settings()
        setup_logging("api", settings.log)
        read_catalogue(settings.api.bundles_file)  # what is wrong with it is said before all else
    except SettingsError as exc:
        sys.stderr.write(f"tidegate api: {exc}\n")
        return EXIT_USAGE
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(settings))
    except asyncio.CancelledError:
        logger.info("stopped before it was ready")
    except StoreError as exc:
        logger.error("cannot work with the store", extra={"error": str(exc)})  # noqa: TRY400
        return EXIT_FAILED
    except OSError as exc:
        where = f"{settings.api.host}:{settings.api.port}"
        logger.error("cannot listen", extra={"address": where, "error": str(exc)})  # noqa: TRY400
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
