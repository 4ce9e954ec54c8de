import pytest

from controlplane.cli.errors import CliError, ExitCode
from controlplane.cli.traffic import TrafficOptions, traffic_body, traffic_rows
from controlplane.model.traffic import Traffic
from controlplane.wire.traffic import TrafficInput, TrafficShape

EVERYTHING = TrafficOptions(
    affinity="header=Mcp-Session-Id",
    affinity_ttl=60,
    per_minute=60,
    per_hour=600,
    concurrent=4,
    max_body="10MB",
    request_timeout=30,
)


def model(options: TrafficOptions, now: Traffic | None = None) -> Traffic:
    """What the API makes of the options, on top of what is set."""
    before = None if now is None else TrafficShape.of(now).model_dump(mode="json")
    return TrafficInput.model_validate(traffic_body(options, before)).to_model()


def test_without_options_nothing_is_said():
    assert traffic_body(TrafficOptions()) is None


def test_the_api_accepts_what_the_options_make():
    made = model(EVERYTHING)
    assert made.affinity is not None
    assert made.affinity.name == "Mcp-Session-Id"
    assert made.quota is not None
    assert (made.max_body_bytes, made.request_timeout_s) == (10_000_000, 30)


def test_an_option_changes_its_own_setting_only():
    changed = model(TrafficOptions(per_minute=9), model(EVERYTHING))
    assert changed.quota is not None
    assert (changed.quota.requests_per_minute, changed.quota.requests_per_hour) == (9, 600)
    assert changed.affinity == model(EVERYTHING).affinity


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (TrafficOptions(affinity="off"), "affinity"),
        (TrafficOptions(per_minute=0, per_hour=0, concurrent=0), "quota"),
        (TrafficOptions(max_body="0"), "max_body_bytes"),
        (TrafficOptions(request_timeout=0), "request_timeout_s"),
    ],
)
def test_every_setting_can_be_taken_back_alone(options, name):
    changed = model(options, model(EVERYTHING))
    assert getattr(changed, name) is None
    others = {"affinity", "quota", "max_body_bytes", "request_timeout_s"} - {name}
    assert all(getattr(changed, other) is not None for other in others)


def test_a_session_need_not_be_forgotten():
    changed = model(TrafficOptions(affinity_ttl=0), model(EVERYTHING))
    assert changed.affinity is not None
    assert changed.affinity.ttl_s is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cookie", {"kind": "cookie"}),
        ("cookie=s", {"kind": "cookie", "name": "s"}),
        ("header=X-S", {"kind": "header", "name": "X-S"}),
    ],
)
def test_kinds_of_affinity(text, expected):
    body = traffic_body(TrafficOptions(affinity=text))
    assert body is not None
    assert body["affinity"] == expected


@pytest.mark.parametrize("text", ["", "header", "header=", "ip", "on"])
def test_other_affinities_are_refused_with_the_known_ones(text):
    with pytest.raises(CliError) as caught:
        traffic_body(TrafficOptions(affinity=text))
    assert caught.value.code is ExitCode.USAGE
    assert "cookie" in caught.value.hint


def test_a_lifetime_without_affinity_is_refused():
    with pytest.raises(CliError):
        traffic_body(TrafficOptions(affinity_ttl=5))


def test_only_what_is_set_is_shown():
    assert traffic_rows(None) == []
    assert traffic_rows(TrafficShape.of(Traffic()).model_dump(mode="json")) == []
    rows = dict(traffic_rows(TrafficShape.of(model(EVERYTHING)).model_dump(mode="json")))
    assert rows == {
        "affinity": "header Mcp-Session-Id, 60 s",
        "quota": "60 a minute, 600 an hour, 4 at a time per caller",
        "body limit": "10000000 bytes",
        "time limit": "30 s",
    }
