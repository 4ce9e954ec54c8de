"""`tidegate size`: what it prints, and what it refuses."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from controlplane.cli.errors import CliError, ExitCode
from controlplane.cli.main import app
from tests.unit.controlplane.model.published_models import LLAMA3_8B

STATED = ["--parameters", "8.03B", "--layers", "32", "--heads", "32", "--hidden", "4096"]


@pytest.fixture(autouse=True)
def _plain_settings(monkeypatch):
    monkeypatch.delenv("TIDEGATE_CONFIG", raising=False)


@pytest.fixture
def config(tmp_path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA3_8B))
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["size", *map(str, words)])


def refused(*words: object) -> CliError:
    error = run(*words).exception
    assert isinstance(error, CliError)
    return error


def test_it_prints_every_term_the_bundle_and_the_target(config):
    result = run(config, "--concurrency", 16)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == (
        "8.03 B parameters in bf16, KV cache in bf16: 131,072 bytes per token;"
        " 16 requests of 8,192 tokens"
    )
    table = [line.split("\t") for line in lines if "\t" in line]
    assert [row[:2] for row in table[:7]] == [
        ["per GPU", "GiB"],
        ["weights", "14.96"],
        ["KV cache", "16.00"],
        ["activations", "1.35"],
        ["runtime", "1.00"],
        ["together", "33.31"],
        ["usable", "71.19"],
    ]
    assert table[2][2] == (
        "16 requests x (8,192 tokens x 32 layers) x 2 x 8 KV heads x 128 x 2 bytes"
    )
    assert table[6][2] == "79.1 GiB visible (of 80) x 0.9 utilisation"
    assert "GPUs per replica: 1, bundle gpu.a100.large" in lines
    assert (
        "concurrency: 53 at the whole context (concurrencyLimitPerReplica);"
        " target 37 (httpRequestsConcurrency, 70% of it)"
    ) in lines
    assert "  gpu.l4.small: 33.3 GiB needed" in result.stdout


def test_json_has_the_same_numbers(config):
    report = json.loads(run(config, "--json", "--concurrency", 16).stdout)
    assert report["kvBytesPerToken"] == 131_072
    assert report["kvBytesPerRequestAndGpu"] == 2**30
    assert report["placement"]["concurrencyTarget"] == 37
    assert report["placement"]["footprint"]["terms"][0]["sizeBytes"] == 16_060_522_496
    assert report["model"]["kvHeads"] == 8
    assert report["rejected"][0]["bundle"] == "gpu.l4.small"
    assert report["neededPerGpu"][0]["gpus"] == 1


def test_a_shape_may_be_stated(config):
    stated = [*STATED, "--kv-heads", 8, "--vocabulary", 128256, "--context", 8192, "--json"]
    told = json.loads(run(*stated).stdout)
    read = json.loads(run(config, "--json").stdout)
    assert told["kvBytesPerToken"] == read["kvBytesPerToken"]
    assert told["model"]["embeddingParameters"] == read["model"]["embeddingParameters"]
    plain = json.loads(run(*STATED, "--context", 1, "--json").stdout)
    assert (plain["model"]["kvHeads"], plain["model"]["headDim"]) == (32, 128)
    assert plain["model"]["embeddingParameters"] == 0


def test_a_count_of_parameters_is_not_rounded_down(config):
    assert json.loads(run(*STATED, "--context", 1, "--json").stdout)["model"]["parameters"] == (
        8_030_000_000
    )


def test_a_size_without_a_unit_is_answered_with_what_to_write(config):
    assert refused(config, "--gpu-memory", "80").hint.startswith("Write 80GiB")
    assert run(config, "--gpu-memory", f"{80 * 2**30}B", "--runtime-memory", "0").exit_code == 0


def test_stated_gpu_memory_is_what_programs_find(config):
    report = json.loads(run(config, "--gpu-memory", "80GiB", "--json").stdout)
    assert report["placement"]["usableBytes"] == int(80 * 2**30 * 0.9)
    assert "80 GiB visible x 0.9 utilisation" in run(config, "--gpu-memory", "80GiB").stdout


def test_gpus_of_a_given_size_need_no_catalogue(config):
    result = run(config, "--gpu-memory", "24GiB", "--concurrency", 8, "--precision", "fp8")
    assert "GPUs per replica: 1\n" in result.stdout
    assert "1 request of" in run(config, "--gpu-memory", "24GiB").stdout


def test_precisions_follow_the_configuration_unless_told(config):
    def demand(*words: object) -> tuple[str, str]:
        found = json.loads(run(config, "--json", "--context", 16, *words).stdout)["demand"]
        return found["precision"], found["kvPrecision"]

    assert demand() == ("bf16", "bf16")
    assert demand("--precision", "int4", "--kv-precision", "fp8") == ("int4", "fp8")
    assert demand("--precision", "fp32") == ("fp32", "fp32")


def test_a_catalogue_of_one_s_own(config, tmp_path, monkeypatch):
    file = tmp_path / "bundles.yaml"
    gpu = "gpu_count: 2, gpu_memory_mb: 24576, gpu_maker: nvidia, price_per_hour: 1.5"
    file.write_text(f"bundles: [{{id: mine, cpu_count: 1, memory_mb: 1, {gpu}}}]")
    assert "GPUs per replica: 2, bundle mine, 1.5 per hour" in run(config, "--bundles", file).stdout
    monkeypatch.setenv("TIDEGATE_API_BUNDLES_FILE", str(file))
    assert "bundle mine" in run(config).stdout
    file.write_text("bundles: {}")
    assert refused(config, "--bundles", file).code is ExitCode.USAGE


def test_what_fits_nowhere_is_shown_and_fails(config):
    result = run(config, "--concurrency", 100_000)
    assert isinstance(result.exception, CliError)
    assert result.exception.code is ExitCode.FAILED
    assert result.exception.message == "no bundle takes it"
    assert "memory that each GPU must show to programs" in result.stdout
    assert "gpu.h100.8xlarge: " in result.stdout
    nowhere = refused(config, "--gpu-memory", "1GiB")
    assert nowhere.message == "no number of such GPUs takes it"


def test_notes_are_told(config):
    config.write_text(json.dumps({"model_type": "x", "text_config": LLAMA3_8B}))
    told = run(config, "--context", 9000).stderr
    assert "note: only the text part" in told
    assert "note: the model was made for 8,192 tokens of context" in told
    report = run(config, "--context", 9000, "--json")
    assert json.loads(report.stdout)["notes"][1].startswith("the model was made for 8,192 tokens")
    assert "note: the model was made for 8,192 tokens of context" in report.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--parameters, --layers, --heads, --hidden missing"),
        (["--layers", 2, "--heads", 2, "--hidden", 2], "not known: --parameters missing"),
        ([*STATED], "--context is missing"),
        (["--parameters", "many"], "--parameters 'many' is not a count"),
        (["--parameters", "0"], "--parameters '0' is not a count"),
        ([*STATED, "--context", 1, "--kv-heads", 5], "--kv-heads: 32 heads cannot share 5"),
        ([*STATED, "--context", 1, "--utilisation", 2], "--utilisation: must be above 0"),
        ([*STATED, "--context", 1, "--kv-precision", "int4"], "--kv-precision: caches are kept"),
        ([*STATED, "--context", 1, "--gpu-memory", "big"], "--gpu-memory: 'big' is not a size"),
        ([*STATED, "--context", 1, "--gpu-memory", "80"], "--gpu-memory 80 has no unit"),
        ([*STATED, "--context", 1, "--runtime-memory", "0.5"], "--runtime-memory 0.5 has no unit"),
        ([*STATED[:4], "--heads", 33, "--hidden", 4096], "4096 does not divide by --heads 33"),
        (["/nowhere/config.json"], "cannot read /nowhere/config.json: No such file"),
    ],
)
def test_wrong_usage_names_the_option(words, said):
    error = refused(*words)
    assert error.code is ExitCode.USAGE
    assert said in error.message
    assert error.hint


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "does not hold an object"),
        (b"{}", "hidden_size: missing"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(config, content, said):
    config.write_bytes(content)
    assert said in refused(config).message


def test_a_file_and_a_stated_shape_contradict_each_other(config):
    assert refused(config, "--kv-heads", 8).message.startswith("--kv-heads and a config.json")
    assert run(config, "--parameters", "9B").exit_code == 0
