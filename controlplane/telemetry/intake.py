"""What the API process needs to receive telemetry: who may send, how much, and where it goes."""

import time
from dataclasses import dataclass, field
from typing import Final

from controlplane.model.sections import TelemetrySettings
from controlplane.telemetry import otlp, rows
from controlplane.telemetry.archive import MAX_WAITING_BYTES, Archive
from controlplane.telemetry.otlp import OtlpError, Signal
from controlplane.telemetry.rates import Rates
from controlplane.telemetry.records import Batch

RETRY_AFTER_S: Final = 5
MAX_WRITTEN_BYTES: Final = MAX_WAITING_BYTES
"""What one request's records may take in the file: more would never fit the queue."""


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
            OtlpError: 400, 413, 415, 429, or 503 while too much waits to be written.
        """
        self.check_rate(workload_id)  # it may have waited, behind others of the same workload
        try:
            plain = otlp.inflate(body, encoding, kind=kind)
        except OtlpError as exc:
            tried = otlp.max_inflated(kind) if exc.status == 413 else 0  # noqa: PLR2004
            self._spend(workload_id, max(len(body), tried))
            raise
        came = max(len(plain), 1)
        self._spend(workload_id, came)
        taken = otlp.read(signal, plain, kind=kind, now_ns=time.time_ns())
        size = max(
            came, rows.size_of(taken.logs, taken.spans, taken.points, limit=MAX_WRITTEN_BYTES)
        )
        if size > MAX_WRITTEN_BYTES:
            raise OtlpError(
                413,
                f"The records take more than {MAX_WRITTEN_BYTES} bytes when written, each with its"
                " resource: send smaller batches, or fewer attributes.",
            )
        self._spend(workload_id, size - came)
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

    def _spend(self, workload_id: str, size: int) -> None:
        self.rates.spend(workload_id, size, time.monotonic())
