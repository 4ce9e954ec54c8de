import pytest

from controlplane.cli.datadir import RunInfo
from controlplane.cli.errors import CliError, ExitCode
from controlplane.cli.up import ready_text, run_installation
from controlplane.model.sections import ApiSettings, Settings, UpSettings

INFO = RunInfo(
    pid=1,
    started_at=0.0,
    data_dir="/d",
    api_url="http://127.0.0.1:8081",
    gateway_url="http://127.0.0.1:8080",
    admin_urls=["http://127.0.0.1:9090"],
    store_url="unix:///s",
)


def test_the_first_start_shows_a_line_to_paste():
    text = ready_text(INFO, token="tg_abc")
    assert (
        "  export TIDEGATE_API_URL=http://127.0.0.1:8081 TIDEGATE_TOKEN=tg_abc" in text.splitlines()
    )
    assert "(1 worker)" in text


def test_later_starts_say_how_to_make_another_token():
    text = ready_text(INFO, token=None)
    assert "tidegate token create" in text
    assert "http://127.0.0.1:9090/metrics" in text


def test_a_broken_catalogue_is_refused_before_anything_starts(tmp_path):
    file = tmp_path / "bundles.yaml"
    file.write_text("bundles: [{id: a, cpu_count: 1, memory_mb: 0}]")
    directory = tmp_path / "data"
    settings = Settings(
        up=UpSettings(data_dir=str(directory)), api=ApiSettings(bundles_file=str(file))
    )
    with pytest.raises(CliError, match="memory_mb: must be above 0") as raised:
        run_installation(settings, [], announce=lambda *_, **__: None)
    assert raised.value.code is ExitCode.USAGE
    assert not directory.exists()
