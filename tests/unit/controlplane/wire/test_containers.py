import pytest

from controlplane.model.artifacts import EnvVar, Probe, Resources
from controlplane.wire.containers import (
    ContainerGroupInput,
    ContainerGroupShape,
    ContainerInput,
    ProbeInput,
    ProbeShape,
)
from tests.unit.controlplane.wire.refusals import refused, refused_because

MAIN = {"name": "main", "imageUri": "i:1", "port": 8000}
SIDE = {"name": "side", "imageUri": "i:2", "primary": False}


def container(**changes):
    return ContainerInput.model_validate(MAIN | changes).to_model(primary=True)


def group(*containers):
    return ContainerGroupInput.model_validate({"containers": list(containers)}).to_model()


# -- containers -------------------------------------------------------------------------------


def test_a_container_keeps_what_it_is_told():
    made = container(
        description="d",
        entrypoint=["python", "-m", "app"],
        securityContext={"readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        routes=[{"path": "/open", "auth": "disabled"}],
        resourceRequest={"cpu": 0.5, "memory": "1GiB", "gpu": 1, "gpuType": "NVIDIA-A10G"},
    )
    assert (made.name, made.image_uri, made.port, made.primary) == ("main", "i:1", 8000, True)
    assert made.entrypoint == ("python", "-m", "app")
    assert made.security_context == {
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert made.routes == ({"path": "/open", "auth": "disabled"},)
    assert made.resources == Resources(cpu=0.5, memory_bytes=1024**3, gpu=1, gpu_type="NVIDIA-A10G")


def test_what_servers_set_is_ignored():
    assert container(build={"status": "COMPLETED"}, imageBuildConfig=None) == container()


@pytest.mark.parametrize("field", ["image_uri", "command", "resourceAllocation"])
def test_unknown_fields_are_refused(field):
    assert refused(ContainerInput, MAIN | {field: "x"}) == [
        (field, "Extra inputs are not permitted")
    ]


@pytest.mark.parametrize("port", [0, 80, 1023, 65536, "x", 8000.5])
def test_ports_that_a_service_may_not_have_are_refused(port):
    assert [place for place, _ in refused(ContainerInput, MAIN | {"port": port})] == ["port"]


@pytest.mark.parametrize("port", [1024, 65535])
def test_the_ports_at_the_bounds_are_fine(port):
    assert container(port=port).port == port


def test_an_image_or_a_way_to_build_one_is_required():
    ((where, why),) = refused(ContainerInput, {"port": 8000})
    assert (where, why) == ("imageUri", "imageUri is required, or imageBuildConfig")
    assert container(imageUri=None, imageBuildConfig={}).image_uri is None


@pytest.mark.parametrize("image", ["", "a b", "i:1\n", "i:\x1b[1m", "i:é", "x" * 4097])
def test_images_that_no_registry_knows_are_refused(image):
    assert [place for place, _ in refused(ContainerInput, MAIN | {"imageUri": image})] == [
        "imageUri"
    ]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"codeRef": {"datarobot": {"catalogId": "c", "catalogVersionId": "v"}}},
        {"dockerfile": {"source": "provided", "path": "./Dockerfile"}},
        {"dockerfile": {"source": "generated", "entrypoint": ["app"]}},
    ],
)
def test_how_an_image_would_be_built_is_kept_with_the_draft(config):
    made = group(MAIN | {"imageUri": None, "imageBuildConfig": config})
    shown = ContainerGroupShape.of(made).model_dump(mode="json")
    assert ContainerGroupInput.model_validate(shown).to_model() == made
    told = shown["containers"][0]["imageBuildConfig"]
    assert all(config[part].items() <= told[part].items() for part in config)


@pytest.mark.parametrize(
    ("config", "where"),
    [
        ({"image": "x"}, "image"),
        ({"codeRef": {"datarobot": {}}}, "codeRef.datarobot.catalogId"),
        ({"dockerfile": {"source": "found"}}, "dockerfile.source"),
        ({"dockerfile": {"path": "./Dockerfile"}}, "dockerfile.source"),
        ({"dockerfile": {"source": "generated"}}, "dockerfile.generated.entrypoint"),
    ],
)
def test_builds_that_nobody_could_carry_out_are_refused(config, where):
    found = refused(ContainerInput, MAIN | {"imageBuildConfig": config})
    assert [place for place, _ in found] == [f"imageBuildConfig.{where}"]


@pytest.mark.parametrize(
    "headers", [{"": "x"}, {"a b": "x"}, {"a:": "x"}, {"A": "x\r\nB: y"}, {"A": "é"}]
)
def test_headers_of_probes_are_headers(headers):
    body = MAIN | {"readinessProbe": {"path": "/", "httpHeaders": headers}}
    ((where, _),) = refused(ContainerInput, body)
    assert where.startswith("readinessProbe.httpHeaders.")


@pytest.mark.parametrize(
    "profile", [{"type": "Localhost"}, {"type": "RuntimeDefault", "localhostProfile": "p"}]
)
def test_a_profile_on_the_host_goes_with_its_type_only(profile):
    ((where, why),) = refused(
        ContainerInput, MAIN | {"securityContext": {"seccompProfile": profile}}
    )
    assert where == "securityContext.seccompProfile.localhostProfile"
    assert "goes with type Localhost" in why


@pytest.mark.parametrize("field", ["runAsUser", "runAsNonRoot", "privileged"])
def test_who_a_container_runs_as_cannot_be_set(field):
    assert refused(ContainerInput, MAIN | {"securityContext": {field: 1}})


def test_there_are_at_most_fifty_routes():
    routes = [{"path": f"/{n}"} for n in range(51)]
    assert [place for place, _ in refused(ContainerInput, MAIN | {"routes": routes})] == ["routes"]
    assert len(container(routes=routes[:50]).routes) == 50


@pytest.mark.parametrize("entrypoint", [[], [""]])
def test_an_entrypoint_without_a_program_is_refused(entrypoint):
    assert "at least a program" in refused_because(
        ContainerInput, MAIN | {"entrypoint": entrypoint}
    )


def test_nul_characters_never_reach_a_process():
    assert refused(ContainerInput, MAIN | {"entrypoint": ["a\0b"]})
    assert refused(ContainerInput, MAIN | {"environmentVars": [{"name": "A", "value": "\0"}]})


def test_at_most_fifty_routes():
    routes = [{"path": f"/{n}"} for n in range(51)]
    assert refused(ContainerInput, MAIN | {"routes": routes})[0][0] == "routes"
    assert refused(ContainerInput, MAIN | {"routes": [{"path": "x" * 1025}]})


@pytest.mark.parametrize("path", ["/admin/*", "/users/{id}", "/a//b", "/./a", "/..", "/%41", "a b"])
def test_a_route_that_could_never_match_is_refused(path):
    assert refused(ContainerInput, MAIN | {"routes": [{"path": path}]})[0][0] == "routes.0.path"


@pytest.mark.parametrize("path", ["/", "", "open", "/a/b/", "/.well-known/agent.json"])
def test_plain_paths_are_routes(path):
    made = ContainerInput.model_validate(MAIN | {"primary": True, "routes": [{"path": path}]})
    assert made.routes[0].path == path


@pytest.mark.parametrize(
    "field", [{"port": True}, {"readinessProbe": {"path": "/", "periodSeconds": True}}]
)
def test_true_is_no_number(field):
    assert refused(ContainerInput, MAIN | field)


# -- environment ------------------------------------------------------------------------------


def test_three_sources_of_variables_are_accepted():
    made = container(
        environmentVars=[
            {"name": "A", "value": "1"},
            {"source": "string", "name": "B", "value": ""},
            {"source": "api-key"},
            {"source": "api-key", "name": "TOKEN"},
            {"source": "dr-credential", "name": "C", "drCredentialId": "c1", "key": "apiToken"},
        ]
    )
    assert made.environment == (
        EnvVar(name="A", value="1"),
        EnvVar(name="B", value=""),
        EnvVar(source="api-key", name="DATAROBOT_API_TOKEN"),
        EnvVar(source="api-key", name="TOKEN"),
        EnvVar(source="dr-credential", name="C", credential_id="c1", key="apiToken"),
    )


@pytest.mark.parametrize(
    "variable",
    [
        {"source": "vault", "name": "A"},
        {"name": "A"},
        {"name": "", "value": "x"},
        {"name": "A=B", "value": "x"},
        {"name": "A\0", "value": "x"},
        {"name": "TIDEGATE_REPLICA_ID", "value": "x"},
        {"source": "dr-credential", "name": "A"},
        {"name": "A", "value": "x", "key": "k"},
        "A=1",
    ],
)
def test_variables_that_cannot_work_are_refused(variable):
    assert refused(ContainerInput, MAIN | {"environmentVars": [variable]})


# -- probes -----------------------------------------------------------------------------------


def test_a_probe_has_the_contracts_defaults():
    assert ProbeInput.model_validate({"path": "/healthz"}).to_model() == Probe(path="/healthz")


def test_a_probe_keeps_what_it_is_told():
    made = ProbeInput.model_validate(
        {
            "path": "ready",
            "port": 80,
            "scheme": "HTTPS",
            "host": "h",
            "httpHeaders": {"X": "1"},
            "initialDelaySeconds": 0,
            "periodSeconds": 0.5,
            "timeoutSeconds": 2,
            "failureThreshold": 9,
            "successThreshold": 2,
        }
    ).to_model()
    assert made == Probe(
        path="/ready",
        port=80,
        scheme="HTTPS",
        host="h",
        http_headers={"X": "1"},
        initial_delay_s=0,
        period_s=0.5,
        timeout_s=2,
        failure_threshold=9,
        success_threshold=2,
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", 0),
        ("port", 65536),
        ("scheme", "TCP"),
        ("initialDelaySeconds", -1),
        ("periodSeconds", 0),
        ("timeoutSeconds", 0),
        ("timeoutSeconds", float("inf")),
        ("periodSeconds", 86_401),
        ("failureThreshold", 0),
        ("successThreshold", 0),
        ("exec", ["true"]),
    ],
)
def test_probes_that_cannot_work_are_refused(field, value):
    assert refused(ProbeInput, {"path": "/", field: value})


def test_a_probe_without_path_is_refused():
    assert refused(ProbeInput, {"port": 8000}) == [("path", "Field required")]


@pytest.mark.parametrize(
    ("own", "containers", "shown"), [(81, 8000, 81), (None, 8000, 8000), (None, None, 8080)]
)
def test_a_probe_answers_with_the_port_that_is_asked(own, containers, shown):
    assert ProbeShape.of(Probe(path="/", port=own), container_port=containers).port == shown


def test_seconds_that_are_whole_are_shown_whole():
    shown = ProbeShape.of(Probe(path="/", period_s=2.0, timeout_s=0.5), container_port=None)
    assert '"periodSeconds":2,' in shown.model_dump_json()
    assert '"timeoutSeconds":0.5' in shown.model_dump_json()


# -- groups -----------------------------------------------------------------------------------


def test_a_single_container_is_primary_without_saying_so():
    assert group(MAIN).containers[0].primary


def test_one_of_several_must_be_primary():
    made = group(MAIN | {"primary": True}, SIDE)
    assert [c.primary for c in made.containers] == [True, False]


@pytest.mark.parametrize(
    ("containers", "where", "why"),
    [
        ([MAIN, SIDE], "containers", "exactly one container must be primary, not 0"),
        (
            [MAIN | {"primary": False}],
            "containers",
            "exactly one container must be primary, not 0",
        ),
        (
            [MAIN | {"primary": True}, MAIN | {"primary": True, "name": "b"}],
            "containers",
            "exactly one container must be primary, not 2",
        ),
        (
            [{"imageUri": "i:1"}],
            "containers.0.port",
            "the primary container (i:1) needs a port",
        ),
        (
            [MAIN | {"primary": True}, SIDE | {"port": 9000}],
            "containers.1.port",
            "only the primary container may name a port, not side",
        ),
        (
            [MAIN | {"primary": True}, SIDE | {"routes": [{"path": "/"}]}],
            "containers.1.routes",
            "only the primary container may name routes, not side",
        ),
        (
            [MAIN | {"primary": True}, SIDE | {"name": "main"}],
            "containers.1.name",
            "container names must differ, and main comes twice",
        ),
    ],
)
def test_groups_that_cannot_work_are_refused_at_the_field_to_blame(containers, where, why):
    assert refused(ContainerGroupInput, {"containers": containers}) == [(where, why)]


def test_nameless_containers_do_not_clash():
    nameless = {"imageUri": "i:1", "primary": False}
    assert len(group(MAIN | {"primary": True}, nameless, nameless).containers) == 3


def test_a_group_may_be_empty_while_it_is_a_draft():
    assert group().containers == ()


def test_what_goes_out_comes_in_again_unchanged():
    body = {
        "name": "default",
        "containers": [
            MAIN
            | {
                "primary": True,
                "entrypoint": ["app"],
                "environmentVars": [
                    {"name": "A", "value": "1"},
                    {"source": "api-key"},
                    {"source": "dr-credential", "name": "C", "drCredentialId": "c", "key": "k"},
                ],
                "readinessProbe": {"path": "/r", "port": 8000, "initialDelaySeconds": 1.5},
                "livenessProbe": {"path": "/l", "port": 81, "httpHeaders": {"X": "1"}},
                "startupProbe": {"path": "/s", "port": 8000, "scheme": "HTTPS"},
                "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
                "routes": [{"path": "/o", "auth": "optional"}],
                "resourceRequest": {"cpu": 2, "memory": 5, "gpu": 1},
            },
            SIDE,
        ],
    }
    made = ContainerGroupInput.model_validate(body).to_model()
    shown = ContainerGroupShape.of(made).model_dump(mode="json")
    assert ContainerGroupInput.model_validate(shown).to_model() == made
    assert shown["containers"][0]["environmentVars"][0] == {
        "source": "string",
        "name": "A",
        "value": "1",
    }


def test_a_probe_without_port_comes_back_with_the_containers():
    made = group(MAIN | {"readinessProbe": {"path": "/r"}})
    shown = ContainerGroupShape.of(made).model_dump(mode="json")
    again = ContainerGroupInput.model_validate(shown).to_model()
    assert again.containers[0].readiness_probe == Probe(path="/r", port=8000)
