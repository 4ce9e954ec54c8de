from controlplane.cli.datadir import RunInfo
from controlplane.cli.up import ready_text

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
