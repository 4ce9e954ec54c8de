import os
from pathlib import Path

import pytest

from controlplane.cli.children import Stage
from controlplane.cli.plan import (
    choose_addresses,
    clashes,
    process_specs,
    wanted_ports,
    worker_count,
)
from controlplane.cli.ports import Wanted
from controlplane.cli.slots import Slot
from controlplane.cli.sockets import Sockets
from controlplane.model.settings import resolve

FREE = {
    "gateway.port": "0",
    "api.port": "0",
    "gateway.admin_port": "0",
    "autoscaler.admin_port": "0",
}


def sockets_of(settings, gateway_port=8080):
    """As if they had been made; the plan does not look inside."""
    gateway, workers = settings.gateway, worker_count(settings)
    base = gateway.admin_port or 40_000
    return Sockets(
        slots=tuple(Slot({}) for _ in range(workers)),
        gateway_port=gateway_port if gateway.plain else 0,
        tls_port=gateway.tls_port if gateway.tls_cert_file else 0,
        admin_ports=tuple(base + index for index in range(workers)),
    )


def specs_of(flags, environ=None, gateway_port=8080):
    settings, values = resolve(flags=flags, environ=environ or {})
    sockets = sockets_of(settings, gateway_port)
    addresses = choose_addresses(settings, sockets)
    specs = process_specs(
        settings=settings,
        values=values,
        addresses=addresses,
        sockets=sockets,
        store_url="unix:///d/store/valkey.sock",
        data_dir=Path("/d"),
        environ={
            "PATH": "/bin",
            "TIDEGATE_TOKEN": "secret",
            "TIDEGATE_CONFIG": "/c",
            **(environ or {}),
        },
    )
    return addresses, {spec.name: spec for spec in specs}


def test_one_worker_per_core_unless_a_number_is_given():
    settings, _ = resolve()
    assert worker_count(settings) == len(os.sched_getaffinity(0))
    settings, _ = resolve(flags={"up.workers": "7"})
    assert worker_count(settings) == 7


def test_every_child_resolves_to_the_settings_the_supervisor_has():
    flags = {"up.workers": "2", "gateway.queue_limit": "5", "gateway.admin_port": "9500"}
    addresses, specs = specs_of(flags, environ={"TIDEGATE_AUTOSCALER_TICK_S": "3"})
    assert set(specs) == {"api", "autoscaler", "gateway-0", "gateway-1"}
    for index in range(2):
        spec = specs[f"gateway-{index}"]
        child, _ = resolve(environ=spec.environ)
        assert child.gateway.queue_limit == 5
        assert child.autoscaler.tick_s == 3
        assert child.store.url == "unix:///d/store/valkey.sock"
        assert child.up.data_dir == "/d"
        assert (child.gateway.worker_index, child.gateway.worker_count) == (index, 2)
        # A worker adds its index to the admin port.
        assert child.gateway.admin_port + index == 9500 + index
        assert spec.ready_url == f"http://127.0.0.1:{9500 + index}/readyz"
    assert addresses.admin_urls == ["http://127.0.0.1:9500", "http://127.0.0.1:9501"]


def test_free_ports_reach_children_and_urls_alike():
    addresses, specs = specs_of({**FREE, "up.workers": "3"}, gateway_port=4321)
    for index in range(3):
        child, _ = resolve(environ=specs[f"gateway-{index}"].environ)
        assert child.gateway.admin_port + index == addresses.gateway_admin_ports[index]
        assert child.gateway.port == 4321
    api, _ = resolve(environ=specs["api"].environ)
    assert api.api.port == addresses.api_port
    assert api.gateway.port == 4321
    scaler, _ = resolve(environ=specs["autoscaler"].environ)
    assert scaler.autoscaler.admin_port == addresses.autoscaler_admin_port
    assert specs["autoscaler"].ready_url == f"{addresses.autoscaler_admin_url}/readyz"
    assert addresses.gateway_url == "http://127.0.0.1:4321"


def test_invoke_urls_are_https_where_there_is_tls():
    tls = {"gateway.tls_cert_file": "/c.pem", "gateway.tls_port": "9443"}
    addresses, specs = specs_of(tls)
    assert addresses.gateway_url == "https://127.0.0.1:9443"
    api, _ = resolve(environ=specs["api"].environ)
    assert (api.gateway.tls_cert_file, api.gateway.tls_port) == ("/c.pem", 9443)


def test_only_gateways_are_handed_sockets_each_its_own():
    _, specs = specs_of({"up.workers": "2"})
    handed = {name: spec.slot for name, spec in specs.items() if spec.slot is not None}
    assert set(handed) == {"gateway-0", "gateway-1"}
    assert handed["gateway-0"] is not handed["gateway-1"]


def test_children_get_neither_our_token_nor_our_config_file_nor_ambiguous_modules():
    _, specs = specs_of({})
    for spec in specs.values():
        assert "TIDEGATE_TOKEN" not in spec.environ
        assert "TIDEGATE_CONFIG" not in spec.environ
        assert spec.environ["PATH"] == "/bin"
        assert "-P" in spec.argv
        assert spec.log_path == Path(f"/d/logs/{spec.name}.log")


def test_stages_start_the_api_before_the_gateways():
    _, specs = specs_of({"up.workers": "1"})
    assert {name: spec.stage for name, spec in specs.items()} == {
        "api": Stage.API,
        "autoscaler": Stage.AUTOSCALER,
        "gateway-0": Stage.GATEWAY,
    }


def test_only_fixed_ports_are_checked_before_the_start():
    settings, _ = resolve(flags={"up.workers": "2"})
    assert [want.port for want in wanted_ports(settings)] == [8080, 8081, 9090, 9091, 9089]
    settings, _ = resolve(flags=FREE)
    assert wanted_ports(settings) == []
    tls = {"gateway.tls_cert_file": "/c.pem", "gateway.plain": "false", "up.workers": "1"}
    settings, _ = resolve(flags=tls)
    assert [want.port for want in wanted_ports(settings)] == [8443, 8081, 9090, 9089]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        pytest.param({"api.port": "8080"}, "8080 is asked for twice", id="api-and-gateway"),
        pytest.param(
            {"gateway.admin_port": "9088", "up.workers": "2"},
            "9089 is asked for twice",
            id="second-worker-and-autoscaler",
        ),
        pytest.param(
            {"gateway.admin_port": "65535", "up.workers": "2"},
            "65536 for gateway worker 1's admin pages is not between 1 and 65535",
            id="second-worker-too-high",
        ),
    ],
)
def test_ports_that_cannot_work_together_are_named(flags, words):
    settings, _ = resolve(flags=flags)
    assert words in (clashes(wanted_ports(settings)) or "")


def test_ports_that_differ_do_not_clash():
    assert clashes([Wanted("a", "h", 1, "-"), Wanted("b", "h", 2, "-")]) is None


@pytest.mark.parametrize(
    ("flags", "expected_s"),
    [
        pytest.param({"gateway.drain_timeout_s": "5"}, 5.0, id="as-set"),
        pytest.param({"up.stop_timeout_s": "10"}, 9.0, id="before-its-stage-ends"),
        pytest.param(
            {"up.stop_timeout_s": "10", "gateway.lame_duck_s": "4"}, 5.0, id="after-the-lame-duck"
        ),
        pytest.param({"up.stop_timeout_s": "0"}, 1.0, id="never-none"),
    ],
)
def test_a_worker_ends_its_drain_before_it_would_be_killed(flags, expected_s):
    _, specs = specs_of({**flags, "up.workers": "1"})
    child, _ = resolve(environ=specs["gateway-0"].environ)
    assert child.gateway.drain_timeout_s == expected_s
