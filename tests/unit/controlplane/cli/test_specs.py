import io

import pytest

from controlplane.cli.errors import CliError, ExitCode
from controlplane.cli.specs import (
    ContainerOptions,
    ScalingOptions,
    artifact_body,
    env_var,
    read_spec,
    runtime_body,
    split_command,
)
from controlplane.wire.workloads import WorkloadInput

PLAIN = ContainerOptions(entrypoint="python server.py", port=8080, image=None)


def group(scaling: ScalingOptions, container: ContainerOptions = PLAIN):
    body = runtime_body(container, scaling)
    assert body is not None
    return body["containerGroups"][0]


def test_the_api_accepts_what_the_options_make():
    container = ContainerOptions(
        entrypoint="python 'my server.py'",
        port=9000,
        image="registry/model:1",
        env=["A=b=c", "EMPTY="],
        readiness="/healthz",
        cpu=0.5,
        memory="512MB",
    )
    scaling = ScalingOptions(
        min_replicas=1,
        max_replicas=4,
        concurrency=5,
        metrics=["cpuAverageUtilization=70"],
        cooldown_minutes=0.5,
        concurrency_limit=12,
    )
    body = {
        "name": "predictor",
        "artifact": artifact_body("predictor", container),
        "runtime": runtime_body(container, scaling),
    }
    accepted = WorkloadInput.model_validate(body)
    assert accepted.artifact is not None
    assert accepted.runtime is not None


def test_an_entrypoint_is_split_as_a_shell_would():
    assert split_command("python 'my server.py' --x=\"a b\"") == [
        "python",
        "my server.py",
        "--x=a b",
    ]


def test_a_readiness_path_is_asked_every_second_from_the_start():
    body = artifact_body("a", ContainerOptions(**{**_fields(PLAIN), "readiness": "/up"}))
    probe = body["spec"]["containerGroups"][0]["containers"][0]["readinessProbe"]
    assert (probe["path"], probe["initialDelaySeconds"], probe["periodSeconds"]) == ("/up", 0, 1)


def test_without_scaling_options_the_platform_decides():
    assert runtime_body(PLAIN, ScalingOptions()) is None


@pytest.mark.parametrize(
    ("scaling", "low", "high"),
    [
        pytest.param(ScalingOptions(max_replicas=5), 0, 5, id="only-max"),
        pytest.param(ScalingOptions(min_replicas=3), 3, 3, id="only-min"),
        pytest.param(ScalingOptions(concurrency=2), 0, 1, id="only-a-target"),
        pytest.param(ScalingOptions(cooldown_minutes=1), 0, 1, id="only-a-cooldown"),
    ],
)
def test_bounds_that_are_left_out_follow_from_the_others(scaling, low, high):
    made = group(scaling)["autoscaling"]
    assert (made["minReplicaCount"], made["maxReplicaCount"]) == (low, high)
    assert made["policies"]


def test_a_fixed_number_has_no_autoscaling():
    assert group(ScalingOptions(replicas=2)) == {"name": "default", "replicaCount": 2}


def test_every_metric_becomes_a_policy():
    scaling = ScalingOptions(metrics=["httpRequestsPerHour=100"], concurrency=3)
    assert group(scaling)["autoscaling"]["policies"] == [
        {"scalingMetric": "httpRequestsPerHour", "target": 100.0},
        {"scalingMetric": "httpRequestsConcurrency", "target": 3},
    ]


def test_a_size_alone_is_a_runtime():
    sized = ContainerOptions(**{**_fields(PLAIN), "memory": "1GB"})
    assert group(ScalingOptions(), sized)["containers"] == [
        {"name": "main", "resourceAllocation": {"memory": "1GB"}}
    ]


def test_bundles_are_the_size_in_their_order():
    sized = ContainerOptions(**{**_fields(PLAIN), "bundles": ["gpu.medium", "cpu.small"]})
    assert group(ScalingOptions(), sized)["resourceBundles"] == ["gpu.medium", "cpu.small"]
    twice = ContainerOptions(**{**_fields(PLAIN), "bundles": ["cpu.small"], "cpu": 1})
    with pytest.raises(CliError, match="--bundle says the size already"):
        group(ScalingOptions(), twice)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda: env_var("A"), "NAME=VALUE", id="env-without-value"),
        pytest.param(lambda: env_var("1A=x"), "NAME=VALUE", id="env-name"),
        pytest.param(lambda: split_command("'"), "No closing quotation", id="open-quote"),
        pytest.param(lambda: split_command(" "), "is empty", id="no-word"),
        pytest.param(
            lambda: runtime_body(PLAIN, ScalingOptions(metrics=["x"])), "NAME=TARGET", id="metric"
        ),
        pytest.param(
            lambda: runtime_body(PLAIN, ScalingOptions(metrics=["x=y"])), "NAME=TARGET", id="target"
        ),
        pytest.param(
            lambda: runtime_body(PLAIN, ScalingOptions(replicas=1, max_replicas=2)),
            "no autoscaling",
            id="fixed-and-scaled",
        ),
        pytest.param(
            lambda: artifact_body("a", ContainerOptions(entrypoint=None, port=8080, image=None)),
            "nothing to run",
            id="nothing",
        ),
    ],
)
def test_malformed_options_are_usage_errors(make, words):
    with pytest.raises(CliError, match=words) as caught:
        make()
    assert caught.value.code is ExitCode.USAGE


def test_a_spec_is_read_from_json_yaml_or_standard_input(tmp_path, monkeypatch):
    for name, text in (("a.json", '{"name": "a"}'), ("a.yaml", "name: a\n")):
        (tmp_path / name).write_text(text)
        assert read_spec(str(tmp_path / name)) == {"name": "a"}
    monkeypatch.setattr("sys.stdin", io.StringIO('{"name": "b"}'))
    assert read_spec("-") == {"name": "b"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("[1]", "does not hold an object", id="list"),
        pytest.param("a: [", "neither JSON nor YAML", id="neither"),
        pytest.param("[" * 100_000, "neither JSON nor YAML", id="too-deep"),
    ],
)
def test_a_spec_that_is_no_object_is_refused(tmp_path, text, words):
    (tmp_path / "spec").write_text(text)
    with pytest.raises(CliError, match=words):
        read_spec(str(tmp_path / "spec"))


def test_a_spec_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CliError, match="missing"):
        read_spec(str(tmp_path / "missing"))


def _fields(options: ContainerOptions) -> dict[str, object]:
    return {name: getattr(options, name) for name in ContainerOptions.__dataclass_fields__}
