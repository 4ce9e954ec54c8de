"""From settings to the processes of a one-machine installation. Decides; starts nothing."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from controlplane.cli.children import ProcessSpec, Stage
from controlplane.cli.ports import Wanted, free_ports, url
from controlplane.cli.sockets import Sockets
from controlplane.model.sections import Settings
from controlplane.model.settings import ENV_PREFIX, Value, to_environ

MAX_PORT = 65_535
_DRAIN_MARGIN_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where everything listens, with free ports chosen for those that were given as 0."""

    api_host: str
    api_port: int
    gateway_host: str
    gateway_port: int
    """0: it listens with TLS only, or on a Unix socket only."""
    tls_port: int
    """0: without TLS."""
    admin_host: str
    gateway_admin_ports: tuple[int, ...]
    """One per worker."""
    autoscaler_admin_host: str
    autoscaler_admin_port: int

    @property
    def api_url(self) -> str:
        """Base of the REST API, without a trailing slash."""
        return url(self.api_host, self.api_port)

    @property
    def gateway_url(self) -> str:
        """Base of the invoke URLs, without a trailing slash; with TLS where there is TLS."""
        if self.tls_port:
            return url(self.gateway_host, self.tls_port, scheme="https")
        return url(self.gateway_host, self.gateway_port)

    @property
    def admin_urls(self) -> list[str]:
        """Admin URL of each gateway worker."""
        return [url(self.admin_host, port) for port in self.gateway_admin_ports]

    @property
    def autoscaler_admin_url(self) -> str:
        """Admin URL of the autoscaler."""
        return url(self.autoscaler_admin_host, self.autoscaler_admin_port)


def worker_count(settings: Settings) -> int:
    """Gateway workers to start: as set, or one per core this process may use."""
    if settings.up.workers > 0:
        return settings.up.workers
    # Only Linux tells which cores we may use.
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def choose_addresses(settings: Settings, sockets: Sockets) -> Addresses:
    """Where everything listens; ports that the settings leave open get free ones.

    Args:
        settings: The effective settings.
        sockets: The gateway's, which are held already.
    """
    gateway, api, autoscaler = settings.gateway, settings.api, settings.autoscaler
    # All at once, so that no two of them can be the same.
    api_port, autoscaler_port = free_ports([api.host, autoscaler.admin_host])
    return Addresses(
        api_host=api.host,
        api_port=api.port or api_port,
        gateway_host=gateway.host,
        gateway_port=sockets.gateway_port,
        tls_port=sockets.tls_port,
        admin_host=gateway.admin_host,
        gateway_admin_ports=sockets.admin_ports,
        autoscaler_admin_host=autoscaler.admin_host,
        autoscaler_admin_port=autoscaler.admin_port or autoscaler_port,
    )


def wanted_ports(settings: Settings) -> list[Wanted]:
    """The fixed ports that must be free before anything starts."""
    gateway, api = settings.gateway, settings.api
    wanted = []
    if gateway.plain and gateway.port:
        wanted.append(Wanted("the gateway", gateway.host, gateway.port, "--port"))
    if gateway.tls_cert_file and gateway.tls_port:
        option = "--set gateway.tls_port=..."
        wanted.append(Wanted("the gateway's TLS", gateway.host, gateway.tls_port, option))
    if api.port:
        wanted.append(Wanted("the API", api.host, api.port, "--api-port"))
    if gateway.admin_port:
        wanted.extend(
            Wanted(
                f"gateway worker {index}'s admin pages",
                gateway.admin_host,
                gateway.admin_port + index,
                "--admin-port",
            )
            for index in range(worker_count(settings))
        )
    if settings.autoscaler.admin_port:
        wanted.append(
            Wanted(
                "the autoscaler's admin pages",
                settings.autoscaler.admin_host,
                settings.autoscaler.admin_port,
                "--set autoscaler.admin_port=...",
            )
        )
    return wanted


def clashes(wanted: list[Wanted]) -> str | None:
    """Two of the ports are the same, or one is out of range: says which; None when all is well."""
    seen: dict[int, Wanted] = {}
    for want in wanted:
        if not 0 < want.port <= MAX_PORT:
            return f"port {want.port} for {want.what} is not between 1 and {MAX_PORT}"
        if other := seen.get(want.port):
            return f"port {want.port} is asked for twice: for {other.what} and for {want.what}"
        seen[want.port] = want
    return None


def process_specs(
    *,
    settings: Settings,
    values: list[Value],
    addresses: Addresses,
    sockets: Sockets,
    store_url: str,
    data_dir: Path,
    environ: Mapping[str, str],
) -> list[ProcessSpec]:
    """The API, the autoscaler and the gateway workers, with everything they are told.

    Args:
        settings: The effective settings.
        values: The same, with sources: what is not a default goes into the environment.
        addresses: Where to listen.
        sockets: What the gateway workers are handed.
        store_url: Where the store is.
        data_dir: Absolute path of the data directory.
        environ: The supervisor's environment. Its own `TIDEGATE_*` variables are not inherited:
            they are in `values` already, and tokens are nobody else's business.
    """
    shared = {key: text for key, text in environ.items() if not key.startswith(ENV_PREFIX)}
    shared |= to_environ(values)
    shared |= {
        "TIDEGATE_UP_DATA_DIR": str(data_dir),
        "TIDEGATE_STORE_URL": store_url,
        "TIDEGATE_API_PORT": str(addresses.api_port),
        "TIDEGATE_GATEWAY_PORT": str(addresses.gateway_port),
        "TIDEGATE_GATEWAY_TLS_PORT": str(addresses.tls_port),
        "TIDEGATE_GATEWAY_WORKER_COUNT": str(len(addresses.gateway_admin_ports)),
        "TIDEGATE_AUTOSCALER_ADMIN_PORT": str(addresses.autoscaler_admin_port),
    }
    specs = [
        ProcessSpec(
            name="api",
            stage=Stage.API,
            argv=_module("controlplane.api"),
            environ=shared,
            log_path=_log(data_dir, "api"),
            ready_url=f"{addresses.api_url}/readyz",
        ),
        ProcessSpec(
            name="autoscaler",
            stage=Stage.AUTOSCALER,
            argv=_module("autoscaler"),
            environ=shared,
            log_path=_log(data_dir, "autoscaler"),
            ready_url=f"{addresses.autoscaler_admin_url}/readyz",
        ),
    ]
    for index, port in enumerate(addresses.gateway_admin_ports):
        name = f"gateway-{index}"
        # A worker listens on admin_port + worker_index, so the index is taken off here.
        own = {
            "TIDEGATE_GATEWAY_WORKER_INDEX": str(index),
            "TIDEGATE_GATEWAY_ADMIN_PORT": str(port - index),
            "TIDEGATE_GATEWAY_DRAIN_TIMEOUT_S": str(_drain_timeout_s(settings)),
        }
        specs.append(
            ProcessSpec(
                name=name,
                stage=Stage.GATEWAY,
                argv=_module("gateway"),
                environ=shared | own,
                log_path=_log(data_dir, name),
                ready_url=f"{addresses.admin_urls[index]}/readyz",
                slot=sockets.slots[index],
            )
        )
    return specs


def _drain_timeout_s(settings: Settings) -> float:
    """A worker ends its drain itself, before its stage of the stop is over and it is killed."""
    left_s = settings.up.stop_timeout_s - settings.gateway.lame_duck_s - _DRAIN_MARGIN_S
    return min(settings.gateway.drain_timeout_s, max(left_s, _DRAIN_MARGIN_S))


def _module(name: str) -> tuple[str, ...]:
    # -P: a directory called `gateway` where the command happens to be run is not ours.
    return (sys.executable, "-P", "-m", name)


def _log(data_dir: Path, name: str) -> Path:
    return data_dir / "logs" / f"{name}.log"
