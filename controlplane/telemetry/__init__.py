"""Logs, traces and metrics of applications: OTLP in, replicas' output in, an embedded store."""
