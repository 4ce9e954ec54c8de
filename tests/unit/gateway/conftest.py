"""Hypothesis on a loaded machine: slow examples are no failures."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "loaded-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("loaded-machine")
