import pytest

from controlplane.model.artifacts import ArtifactSpec, Container, ContainerGroup, Probe

HTTPS = "HTTPS"


def spec(**fields):
    container = Container(name="c", primary=True, **fields)
    sidecar = Container(name="s", port=9000, readiness_probe=Probe(path="/", scheme=HTTPS))
    return ArtifactSpec(container_groups=(ContainerGroup(containers=(sidecar, container)),))


@pytest.mark.parametrize(
    ("fields", "tls"),
    [
        pytest.param({"port": 80}, False, id="without-probes"),
        pytest.param({"port": 80, "readiness_probe": Probe(path="/")}, False, id="http"),
        pytest.param(
            {"port": 80, "readiness_probe": Probe(path="/", scheme=HTTPS)}, True, id="no-port-named"
        ),
        pytest.param(
            {"port": 80, "readiness_probe": Probe(path="/", port=80, scheme="https")},
            True,
            id="its-own-port",
        ),
        pytest.param(
            {"readiness_probe": Probe(path="/", port=8080, scheme=HTTPS)},
            True,
            id="the-contract-s-default-port",
        ),
        pytest.param(
            {"port": 80, "readiness_probe": Probe(path="/", port=81, scheme=HTTPS)},
            False,
            id="another-port",
        ),
        pytest.param(
            {"port": 80, "readiness_probe": Probe(path="/", host="elsewhere", scheme=HTTPS)},
            False,
            id="another-host",
        ),
        pytest.param(
            {"port": 80, "startup_probe": Probe(path="/", scheme=HTTPS)}, True, id="start-up"
        ),
        pytest.param(
            {"port": 80, "liveness_probe": Probe(path="/", scheme=HTTPS)}, True, id="liveness"
        ),
    ],
)
def test_the_port_speaks_tls_when_a_probe_of_it_says_so(fields, tls):
    assert spec(**fields).speaks_tls() is tls


def test_a_draft_without_a_primary_container_speaks_nothing():
    assert ArtifactSpec().speaks_tls() is False
