"""What the API process needs to receive telemetry: who may send, how much, and where it goes."""

import time
from dataclasses import dataclass, field

from controlplane.model.sections import TelemetrySettings
from controlplane.telemetry import otlp
from controlplane.telemetry.archive import Archive
from controlplane.telemetry.otlp import OtlpError, Signal
from controlplane.telemetry.rates import Rates
from controlplane.telemetry.records import Batch

RETRY_AFTER_S = 5


@dataclass(slots=True, kw_only=True)
class Intake:
    """One API process's."""

    archive: Archive
    secret: bytes
    """What the keys of replicas are derived from."""
    settings: TelemetrySettings
    rates: Rates = field(init=False)

    def __post_init__(self) -> None:
        """Open an account for everybody."""
        self.rates = Rates(self.settings.workload_bytes_per_s)

    def check_rate(self, workload_id: str) -> None:
        """Refuse a workload that sends too much.

        Raises:
            OtlpError: 429, with the seconds to wait.
        """
        wait_s = self.rates.wait_s(workload_id, time.monotonic())
        if wait_s > 0:
            rate = self.settings.workload_bytes_per_s
            raise OtlpError(
                429,
                f"Workload {workload_id} sends more than {rate} bytes of telemetry per second.",
                retry_after_s=int(wait_s) + 1,
            )

    def take(
        self, signal: Signal, workload_id: str, body: bytes, *, encoding: str, kind: str
    ) -> bytes:
        """Decode a request and hand its records to the writer. Blocks for milliseconds.

        Args:
            signal: What it carries.
            workload_id: Whose records these are, whatever they say of themselves.
            body: As it came.
            encoding: Its Content-Encoding.
            kind: Its media type.

        Returns:
            The body of the answer.

        Raises:
            OtlpError: 400, 413, 415, or 503 while too much waits to be written.
        """
        taken = otlp.read(signal, body, encoding=encoding, kind=kind, now_ns=time.time_ns())
        size = max(len(body), 1)
        self.rates.spend(workload_id, size, time.monotonic())
        batch = Batch(
            workload_id=workload_id,
            size=size,
            logs=taken.logs,
            spans=taken.spans,
            points=taken.points,
        )
        if not self.archive.submit(batch):
            raise OtlpError(
                503, "Too much telemetry waits to be written.", retry_after_s=RETRY_AFTER_S
            )
        return otlp.answer(signal, rejected=taken.rejected, reason=taken.reason, kind=kind)
