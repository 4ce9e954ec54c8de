"""Request bodies from command-line options. Pure but for reading the file that the user names."""

import json
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from controlplane.cli.client import Json
from controlplane.cli.errors import CliError, ExitCode

CONCURRENCY = "httpRequestsConcurrency"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerOptions:
    """What to run, as the options of `create` say it."""

    entrypoint: str | None
    port: int
    image: str | None
    env: Sequence[str] = ()
    readiness: str | None = None
    cpu: float | None = None
    memory: str | None = None
    bundles: Sequence[str] = ()
    """Names of sizes, the preferred one first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingOptions:
    """How many, as the options of `create` say it."""

    min_replicas: int | None = None
    max_replicas: int | None = None
    concurrency: float | None = None
    """Target of `httpRequestsConcurrency` per replica."""
    metrics: Sequence[str] = ()
    """`NAME=TARGET` texts."""
    replicas: int | None = None
    """A fixed number; excludes everything else."""
    cooldown_minutes: float | None = None
    concurrency_limit: int | None = None


def artifact_body(name: str, options: ContainerOptions) -> Json:
    """The artifact of a create request.

    Raises:
        CliError: An option is malformed, or there is nothing to run.
    """
    if not options.entrypoint and not options.image:
        raise usage("nothing to run", "Give --entrypoint 'python server.py' (or --image, or -f).")
    container: Json = {
        "name": "main",
        "primary": True,
        "port": options.port,
        # The contract requires an image; local processes are started from the entrypoint.
        "imageUri": options.image or "local/process:latest",
        "environmentVars": [env_var(text) for text in options.env],
    }
    if options.entrypoint:
        container["entrypoint"] = split_command(options.entrypoint)
    if options.readiness:
        container["readinessProbe"] = {
            "path": options.readiness,
            "port": options.port,
            # The contract's 30 s defaults are for slow image pulls, not for a local process.
            "initialDelaySeconds": 0,
            "periodSeconds": 1,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        }
    group = {"name": "default", "containers": [container]}
    return {"name": name, "spec": {"containerGroups": [group]}}


def runtime_body(container: ContainerOptions, scaling: ScalingOptions) -> Json | None:
    """The runtime of a create request; None when the options say nothing about it.

    Raises:
        CliError: Options contradict each other or are malformed.
    """
    group: Json = {"name": "default"}
    policies = [_policy(text) for text in scaling.metrics]
    if scaling.concurrency is not None:
        policies.append({"scalingMetric": CONCURRENCY, "target": scaling.concurrency})
    bounds = [scaling.min_replicas, scaling.max_replicas, scaling.cooldown_minutes]
    scaled = bool(policies) or any(value is not None for value in bounds)
    if scaling.replicas is not None:
        if scaled:
            raise usage(
                "--replicas means no autoscaling",
                "Leave out --min, --max, --concurrency, --metric and --cooldown-minutes.",
            )
        group["replicaCount"] = scaling.replicas
    elif scaled:
        group["autoscaling"] = _autoscaling(policies, scaling)
    if scaling.concurrency_limit is not None:
        group["concurrencyLimitPerReplica"] = scaling.concurrency_limit
    allocation = {"cpu": container.cpu, "memory": container.memory}
    if given := {key: value for key, value in allocation.items() if value is not None}:
        group["containers"] = [{"name": "main", "resourceAllocation": given}]
    if container.bundles:
        if given:
            raise usage(
                "--bundle says the size already", "Leave out --cpu and --memory, or --bundle."
            )
        group["resourceBundles"] = list(container.bundles)
    return {"containerGroups": [group]} if len(group) > 1 else None


def _autoscaling(policies: list[Json], scaling: ScalingOptions) -> Json:
    body: Json = {
        "enabled": True,
        "policies": policies or [{"scalingMetric": CONCURRENCY, "target": 10}],
        "minReplicaCount": scaling.min_replicas or 0,
        "maxReplicaCount": scaling.max_replicas or max(1, scaling.min_replicas or 0),
    }
    if scaling.cooldown_minutes is not None:
        body["cooldownPeriodMinutes"] = scaling.cooldown_minutes
    return body


def env_var(text: str) -> Json:
    """`NAME=VALUE` as the contract has it.

    Raises:
        CliError: There is no `=`, or the name is not one that shells accept.
    """
    name, separator, value = text.partition("=")
    if not separator or not _NAME.fullmatch(name):
        raise usage(f"--env {text!r} is not NAME=VALUE", "For example: --env MODEL=small")
    return {"source": "string", "name": name, "value": value}


def split_command(text: str) -> list[str]:
    """A command line in the shell's quoting, as words.

    Raises:
        CliError: A quote is not closed, or there is no word.
    """
    try:
        words = shlex.split(text)
    except ValueError as exc:
        raise usage(f"--entrypoint {text!r}: {exc}", "Quote it as a shell would.") from exc
    if not words:
        raise usage("--entrypoint is empty", "For example: --entrypoint 'python server.py'")
    return words


def read_spec(name: str) -> Json:
    """A request body from a JSON or YAML file; `-`: standard input.

    Raises:
        CliError: It cannot be read, or is not an object.
    """
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise usage(
            f"cannot read {name}: {exc}", "Give a JSON or YAML file, or - for stdin."
        ) from exc
    try:
        body = _parsed(text)
    except (yaml.YAMLError, RecursionError) as exc:
        raise usage(f"{name} is neither JSON nor YAML: {exc}", "") from exc
    if not isinstance(body, dict):
        raise usage(f"{name} does not hold an object", "It should be the body of a create request.")
    return body


def _parsed(text: str) -> object:
    try:
        found: object = json.loads(text)
    except ValueError:
        found = yaml.safe_load(text)
    return found


def usage(message: str, hint: str) -> CliError:
    """An error in how the command was called."""
    return CliError(message, hint=hint, code=ExitCode.USAGE)


def _policy(text: str) -> Json:
    name, separator, target = text.partition("=")
    try:
        value = float(target)
    except ValueError:
        separator = ""
        value = 0.0
    if not separator or not name:
        raise usage(
            f"--metric {text!r} is not NAME=TARGET",
            "For example: --metric cpuAverageUtilization=70",
        )
    return {"scalingMetric": name, "target": value}
