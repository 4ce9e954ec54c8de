"""A service with OpenTelemetry's SDK, which finds everything in its environment.

`GET /healthz` says ok. Any other GET is one span of its own within the caller's trace, one log
record by OTLP, one structured and one plain line of output, and one count of a metric. `/fail`
raises within the span.
"""

import json
import logging
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

traces = TracerProvider()
traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=100))
logs = LoggerProvider()
logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(), schedule_delay_millis=100))
reader = PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=200)
served = MeterProvider([reader]).get_meter("instrumented").create_counter("served", unit="1")
tracer = traces.get_tracer("instrumented")
logger = logging.getLogger("instrumented")
logger.addHandler(LoggingHandler(logger_provider=logs))
logger.setLevel(logging.INFO)


class Handler(BaseHTTPRequestHandler):
    """Answers, and tells."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        status = 200
        if self.path != "/healthz":
            try:
                self._work()
            except ValueError:
                status = 500
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _work(self) -> None:
        caller = propagate.extract(dict(self.headers))
        with tracer.start_as_current_span("work", context=caller) as span:
            found = span.get_span_context()
            ids = {
                "trace_id": trace.format_trace_id(found.trace_id),
                "span_id": trace.format_span_id(found.span_id),
            }
            logger.warning("by OTLP")
            say(json.dumps({"level": "ERROR", "message": "by JSON", "user": 7} | ids))
            sys.stderr.write("by text\n")
            sys.stderr.flush()
            served.add(1)
            if self.path == "/fail":
                raise ValueError("this is what failed")

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """No access log."""


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    say("WARNING: about to listen")
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
