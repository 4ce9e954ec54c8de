"""Settings: four layers, each value with its source, nothing unknown, nothing that cannot work."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.model import settings as module
from controlplane.model.sections import GatewaySettings, Settings
from controlplane.model.settings import SettingsError, Value, env_name, resolve, to_environ


def value_of(values: list[Value], section: str, key: str) -> Value:
    return next(v for v in values if (v.section, v.key) == (section, key))


def test_without_anything_given_every_value_is_the_default():
    settings, values = resolve()
    assert settings == Settings()
    assert {value.source for value in values} == {"default"}
    assert len(values) == sum(
        len(fields(type(getattr(settings, section.name)))) for section in fields(settings)
    )


LAYERS = {
    "file": {"file": {"gateway": {"queue_limit": 1}}},
    "env TIDEGATE_GATEWAY_QUEUE_LIMIT": {"environ": {"TIDEGATE_GATEWAY_QUEUE_LIMIT": "2"}},
    "flag": {"flags": {"gateway.queue_limit": "3"}},
}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_layer_wins_over_the_ones_before_it(count):
    names = list(LAYERS)[:count]
    layers = {}
    for name in names:
        layers.update(LAYERS[name])
    settings, values = resolve(**layers)
    assert settings.gateway.queue_limit == count
    assert value_of(values, "gateway", "queue_limit").source == names[-1]


def test_other_environment_variables_are_none_of_our_business():
    environ = {
        "PATH": "/bin",
        "TIDEGATE_TOKEN": "t",
        "TIDEGATE_API_URL": "u",
        "TIDEGATE_CONFIG": "c",
        "TIDEGATE_REPLICA_ID": "r",
        "TIDEGATE_TEST_SLOW": "1",
    }
    assert resolve(environ=environ)[0] == Settings()


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        pytest.param(
            {"file": {"gatway": {}}},
            "unknown section 'gatway', did you mean 'gateway'?",
            id="section",
        ),
        pytest.param(
            {"file": {"gateway": {"queue_limt": 1}}},
            "unknown setting gateway.queue_limt, did you mean 'queue_limit'?",
            id="key",
        ),
        pytest.param(
            {"file": {"xyz": {}}}, "unknown section 'xyz'; known: api, autoscaler", id="no-guess"
        ),
        pytest.param(
            {"file": {"gateway": 3}}, "gateway: expected a table, as in [gateway]", id="no-table"
        ),
        pytest.param(
            {"environ": {"TIDEGATE_GATEWAY_PRT": "1"}},
            "did you mean 'TIDEGATE_GATEWAY_PORT'?",
            id="variable",
        ),
        pytest.param(
            {"flags": {"gatewai.port": "1"}}, "did you mean 'gateway'?", id="flag-section"
        ),
        pytest.param({"flags": {"gateway.prot": "1"}}, "did you mean 'port'?", id="flag-key"),
        pytest.param(
            {"flags": {"gateway": "1"}}, "unknown setting gateway.", id="flag-without-key"
        ),
    ],
)
def test_unknown_names_are_refused_with_a_guess(layers, message):
    with pytest.raises(SettingsError) as caught:
        resolve(**layers)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        pytest.param(
            {"environ": {"TIDEGATE_GATEWAY_PORT": "http"}},
            "gateway.port (env TIDEGATE_GATEWAY_PORT): 'http' does not fit",
            id="text-for-a-number",
        ),
        pytest.param(
            {"file": {"gateway": {"port": True}}},
            "gateway.port (file): True does not fit",
            id="truth-for-a-number",
        ),
        pytest.param(
            {"file": {"gateway": {"host": 1}}},
            "gateway.host (file): 1 does not fit",
            id="number-for-a-text",
        ),
        pytest.param(
            {"flags": {"gateway.server_timing": "perhaps"}},
            "gateway.server_timing (flag): 'perhaps' does not fit",
            id="text-for-a-truth",
        ),
        pytest.param(
            {"flags": {"gateway.port": ""}}, "gateway.port (flag): '' does not fit", id="empty"
        ),
    ],
)
def test_values_of_the_wrong_type_are_refused_with_their_source(layers, message):
    with pytest.raises(SettingsError) as caught:
        resolve(**layers)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("flag", "text", "message"),
    [
        ("gateway.access_log", "some", "gateway: access_log must be off, errors or all"),
        ("gateway.access_log_sample_ratio", "1.5", "must be between 0 and 1"),
        ("gateway.body_timeout_s", "0", "body_timeout_s must be greater than 0, not 0"),
        ("telemetry.max_bytes", "5", "telemetry: max_bytes must be 0 or at least"),
        ("gateway.native", "maybe", "native must be auto, off or required, not 'maybe'"),
        ("autoscaler.native", "maybe", "native must be auto, off or required, not 'maybe'"),
        ("gateway.trusted_proxies", "10.0.0.0/8 here", "trusted_proxies: 'here' is no address"),
        ("gateway.trusted_proxies", "10.0.0.1/8", "trusted_proxies: '10.0.0.1/8' is no address"),
        ("gateway.cold_start_header", "X Y", "must be a header's name, not 'X Y'"),
        ("gateway.concurrency_limit", "0", "concurrency_limit must be greater than 0, not 0"),
        ("gateway.report_interval_s", "0", "report_interval_s must be greater than 0"),
        ("gateway.max_attempts", "0", "max_attempts must be greater than 0"),
        ("gateway.max_head_bytes", "0", "max_head_bytes must be greater than 0"),
        ("gateway.connect_timeout_s", "0", "connect_timeout_s must be greater than 0"),
        ("gateway.plain", "false", "plain is off, so tls_cert_file or unix_path must be set"),
        ("gateway.tls_key_file", "/k.pem", "tls_cert_file must be set with tls_key_file"),
        ("gateway.tls_client_ca_file", "/ca.pem", "tls_cert_file must be set with"),
        ("gateway.tls_handshake_timeout_s", "0", "tls_handshake_timeout_s must be greater than 0"),
        ("gateway.unix_mode", "0999", "unix_mode must be permissions like 0660, not '0999'"),
        ("gateway.unix_mode", "00660", "unix_mode must be permissions"),
        ("gateway.unix_mode", "", "unix_mode must be permissions"),
        ("gateway.listen_fds", "http", "listen_fds must be like `http=3 admin=4`, not 'http'"),
        ("gateway.listen_fds", "ftp=3", "listen_fds must be like"),
        ("gateway.listen_fds", "http=x", "listen_fds must be like"),
        ("autoscaler.tick_s", "0", "autoscaler: tick_s must be greater than 0"),
        ("autoscaler.stable_window_s", "0", "stable_window_s must be greater than 0"),
        ("autoscaler.panic_window_ratio", "0", "panic_window_ratio must be greater than 0"),
        ("autoscaler.lease_ttl_s", "0", "lease_ttl_s must be greater than 0"),
        ("autoscaler.crash_limit", "0", "crash_limit must be greater than 0"),
        ("autoscaler.max_scale_up_rate", "1", "must be greater than 1"),
        ("autoscaler.max_scale_down_rate", "0.5", "must be greater than 1"),
        ("autoscaler.activation_scale", "0", "activation_scale must be greater than 0"),
        ("autoscaler.scale_limit_period_s", "0", "scale_limit_period_s must be greater than 0"),
        ("autoscaler.quality_age_s", "0", "quality_age_s must be greater than 0"),
        ("autoscaler.tolerance_ratio", "1.5", "tolerance_ratio must be between 0 and 1"),
        ("autoscaler.quality_coverage_ratio", "2", "quality_coverage_ratio must be between"),
        ("autoscaler.quality_disagreement_ratio", "2", "quality_disagreement_ratio must be"),
        ("autoscaler.replica_port_min", "40000", "must not exceed replica_port_max"),
        ("autoscaler.arbitrate_gpus", "sometimes", "must be known or always"),
    ],
)
def test_values_that_cannot_work_are_refused(flag, text, message):
    with pytest.raises(SettingsError) as caught:
        resolve(flags={flag: text})
    assert message in str(caught.value)


def test_an_empty_text_is_absence_where_absence_is_allowed():
    assert resolve(flags={"store.url": ""})[0].store.url is None
    assert resolve(environ={"TIDEGATE_STORE_URL": ""})[0].store.url is None
    file = {"autoscaler": {"stabilization_window_s": 5}}
    environ = {"TIDEGATE_AUTOSCALER_STABILIZATION_WINDOW_S": ""}
    found = resolve(file=file, environ=environ)[0].autoscaler
    assert found.stabilization_window_s is None


@pytest.mark.parametrize("text", ["true", "1"])
def test_truth_in_the_environment_is_true_or_one(text):
    settings, _ = resolve(environ={"TIDEGATE_STORE_ALLOW_VOLATILE": text})
    assert settings.store.allow_volatile is True


@given(
    port=st.integers(0, 65535),
    timeout_s=st.floats(0.001, 1e6),
    trusted=st.booleans(),
    url=st.none() | st.just("redis://host"),
    host=st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=20),
)
def test_a_child_reads_from_its_environment_what_its_parent_had(
    port, timeout_s, trusted, url, host
):
    file = {
        "gateway": {
            "port": port,
            "connect_timeout_s": timeout_s,
            "server_timing": trusted,
            "host": host,
        }
    }
    settings, values = resolve(file=file, flags={"store.url": url or ""})
    child, _ = resolve(environ=to_environ(values))
    assert child == settings


def test_a_child_is_told_only_what_differs_from_the_defaults():
    _, values = resolve(flags={"gateway.port": "1", "store.url": ""})
    assert to_environ(values) == {"TIDEGATE_GATEWAY_PORT": "1", "TIDEGATE_STORE_URL": ""}


def test_names_of_variables_cannot_be_mistaken_for_one_another():
    names = [env_name(value.section, value.key) for value in resolve()[1]]
    assert len(set(names)) == len(names)
    assert not module.NOT_SETTINGS & set(names)
    assert not [name for name in names if name.startswith(module.RESERVED_PREFIXES)]


def test_settings_are_frozen():
    with pytest.raises(AttributeError):
        GatewaySettings().port = 1


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        pytest.param({"gateway.port": "65536"}, "at most 65535", id="a-port-beyond-the-last"),
        pytest.param({"gateway.port": "-1"}, "at least 0", id="a-negative-port"),
        pytest.param({"gateway.queue_limit": "-1"}, "at least 0", id="a-negative-limit"),
        pytest.param({"autoscaler.cooldown_s": "nan"}, "out of range", id="not-a-number"),
        pytest.param({"autoscaler.cooldown_s": "inf"}, "out of range", id="without-end"),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(flags, says):
    with pytest.raises(SettingsError, match=says) as caught:
        resolve(flags=flags)
    assert next(iter(flags)) in str(caught.value)


def test_handed_over_sockets_are_known_by_their_names():
    settings, _ = resolve(flags={"gateway.listen_fds": "http=3 https=4 admin=12"})
    assert settings.gateway.descriptors == {"http": 3, "https": 4, "admin": 12}
    assert resolve()[0].gateway.descriptors == {}


def test_trusted_proxies_may_be_addresses_networks_and_words():
    text = "10.0.0.0/8, ::1 unix,*"
    settings, _ = resolve(flags={"gateway.trusted_proxies": text})
    assert settings.gateway.trusted_proxies == text
