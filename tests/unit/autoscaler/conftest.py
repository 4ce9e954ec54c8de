"""Property tests here never fail for being slow: the machine may be busy."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "loaded-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("loaded-machine")
