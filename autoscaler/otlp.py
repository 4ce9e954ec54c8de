"""Where replicas send their telemetry, and with which key."""

from collections.abc import Callable, Mapping

from autoscaler.core.replica_launch import otlp_variables
from controlplane.model.sections import ApiSettings, Settings
from controlplane.model.workloads import Replica
from controlplane.telemetry import keys


def otlp_for(settings: Settings, secret: bytes) -> Callable[[Replica], Mapping[str, str]]:
    """What tells replicas where to send telemetry, each with a key of its workload's own."""
    base = (settings.api.public_url or api_url(settings.api)).rstrip("/")
    endpoint = settings.telemetry.endpoint or f"{base}/api/v2/otel"

    def variables(replica: Replica) -> Mapping[str, str]:
        return otlp_variables(
            endpoint,
            keys.ingest_key(secret, replica.workload_id),
            workload_id=replica.workload_id,
            proton_id=replica.proton_id,
            replica_id=replica.id,
        )

    return variables


def api_url(api: ApiSettings) -> str:
    """Where processes on this machine reach the API."""
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(api.host, api.host)  # noqa: S104
    return f"http://[{host}]:{api.port}" if ":" in host else f"http://{host}:{api.port}"
