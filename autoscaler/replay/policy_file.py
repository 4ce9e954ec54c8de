"""The policy file of `simulate` and `tune`: what a workload asks for, and what surrounds it.

JSON or YAML. Either the autoscaling object alone, as clients send it to the API, or:

    autoscaling:            # as clients send it, our extensions included
      policies: [{scalingMetric: httpRequestsConcurrency, target: 4}]
      minReplicaCount: 0
      maxReplicaCount: 20
    concurrencyLimitPerReplica: 8     # requests in flight per replica; default: twice the target
    settings:               # platform settings by section, as in the file of --config
      autoscaler: {stable_window_s: 30}
      gateway: {cold_start_timeout_s: 60}
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from autoscaler.replay.errors import ReplayError
from controlplane.model.sections import Settings
from controlplane.model.settings import SettingsError, resolve
from controlplane.model.words import did_you_mean
from controlplane.model.workloads import Autoscaling

MAX_BYTES: Final = 1 << 20
"""Largest policy file."""

LIMIT_PER_TARGET: Final = 2.0
"""As `gateway.core.balancing` has it: where nobody states a limit, twice the concurrency target."""

_LOAD_METRICS: Final = frozenset({"httpRequestsConcurrency", "httpRequestsInFlight"})
_KEYS: Final = frozenset({"autoscaling", "concurrencyLimitPerReplica", "settings"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFile:
    """What the file says."""

    autoscaling: Autoscaling
    settings: Settings
    replica_limit: int
    """Most requests in flight per replica."""

    @property
    def target(self) -> float | None:
        """The smallest target of the policies that look at requests in flight; None: none does."""
        targets = [p.target for p in self.autoscaling.policies if p.metric in _LOAD_METRICS]
        return min(targets, default=None)


def load_policy(path: Path) -> PolicyFile:
    """Read a policy file.

    Raises:
        ReplayError: It cannot be read, or something in it is wrong; the message names the field.
    """
    return policy_of(parsed(path), name=str(path))


def policy_of(content: object, *, name: str) -> PolicyFile:
    """What a policy file's content says.

    Args:
        content: Parsed JSON or YAML.
        name: The file, for messages.

    Raises:
        ReplayError: Something in it is wrong.
    """
    if not isinstance(content, Mapping):
        raise ReplayError(f"{name}: expected an object with `policies` or `autoscaling`", code=2)
    whole = dict(content) if "autoscaling" in content else {"autoscaling": content}
    if unknown := sorted(set(map(str, whole)) - _KEYS):
        raise ReplayError(
            f"{name}: unknown key {unknown[0]!r}{did_you_mean(unknown[0], _KEYS)}",
            hint=f"Known: {', '.join(sorted(_KEYS))}.",
            code=2,
        )
    autoscaling = _autoscaling(whole["autoscaling"], name)
    settings = _settings(whole.get("settings") or {}, name)
    limit = whole.get("concurrencyLimitPerReplica")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise ReplayError(
            f"{name}: concurrencyLimitPerReplica must be a whole number of at least 1", code=2
        )
    if limit is None:
        limit = _limit(autoscaling, settings)
    return PolicyFile(autoscaling=autoscaling, settings=settings, replica_limit=limit)


def _limit(autoscaling: Autoscaling, settings: Settings) -> int:
    targets = [p.target for p in autoscaling.policies if p.metric in _LOAD_METRICS]
    if not targets:
        return settings.gateway.concurrency_limit
    return max(1, round(min(targets) * LIMIT_PER_TARGET))


def parsed(path: Path) -> object:
    """A policy file's content, not looked at yet.

    Raises:
        ReplayError: It cannot be read, is too large, or is neither JSON nor YAML.
    """
    import yaml  # noqa: PLC0415 - slow to import

    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise ReplayError(f"cannot read {path}: {exc.strerror or exc}", code=2) from exc
    if len(raw) > MAX_BYTES:
        raise ReplayError(f"{path} is larger than {MAX_BYTES} bytes", code=2)
    try:
        return yaml.safe_load(raw)
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise ReplayError(f"{path} is neither JSON nor YAML: {exc}", code=2) from exc
    except RecursionError as exc:
        raise ReplayError(f"{path} nests deeper than any policy", code=2) from exc


def _autoscaling(content: Any, name: str) -> Autoscaling:  # noqa: ANN401 - whatever YAML can hold
    from pydantic import ValidationError  # noqa: PLC0415 - slow to import

    from controlplane.wire.autoscaling import AutoscalingInput  # noqa: PLC0415 - slow to import
    from controlplane.wire.misspelt import UNKNOWN, meant  # noqa: PLC0415

    if not isinstance(content, Mapping):
        raise ReplayError(
            f"{name}: autoscaling: expected an object with `policies`,"
            " `minReplicaCount` and `maxReplicaCount`",
            code=2,
        )
    try:
        given = AutoscalingInput.model_validate(content)
    except ValidationError as exc:
        problem = exc.errors()[0]
        where = ".".join(str(part) for part in ("autoscaling", *problem["loc"]))
        unknown = problem["type"] == UNKNOWN
        hint = meant([AutoscalingInput], problem["loc"]) if unknown else ""
        raise ReplayError(f"{name}: {where}: {problem['msg']}{hint}", code=2) from exc
    if not given.enabled:
        raise ReplayError(f"{name}: autoscaling is not enabled, so there is nothing to try", code=2)
    return given.to_model()


def _settings(content: object, name: str) -> Settings:
    if not isinstance(content, Mapping):
        raise ReplayError(f"{name}: settings: expected sections, such as autoscaler", code=2)
    try:
        settings, _ = resolve(file=content)
    except SettingsError as exc:
        raise ReplayError(f"{name}: settings: {exc}", code=2) from exc
    return settings
