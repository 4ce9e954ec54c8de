"""Bundles over the API: the catalogue, what a workload gets of it, and what it is refused."""

import pytest

from controlplane.model.nodes import Node
from controlplane.model.sections import ApiSettings, Settings
from controlplane.model.states import ProtonState, ReplicaPhase
from controlplane.model.workloads import Proton, Replica, Scale
from tests.integration.api.conftest import GATEWAY, IDS, runtime_body

BUNDLES = "/api/v2/mlops/compute/bundles"
OWN = """
bundles:
  - {id: tiny, cpu_count: 0.5, memory_mb: 256, price_per_hour: 0.5}
  - {id: big, cpu_count: 4, memory_mb: 4096, price_per_hour: 2}
  - {id: desk, cpu_count: 4, memory_mb: 4096, use_cases: [notebook]}
"""
ALLOCATION = {"cpu": 0.5, "memory": "256MB"}


def allocated(**allocation: object) -> dict[str, object]:
    return runtime_body(containers=[{"name": "main", "resourceAllocation": allocation}])


def group_of(body: dict) -> dict:
    (group,) = body["runtime"]["containerGroups"]
    return group


@pytest.fixture
async def own(make_api, tmp_path):
    file = tmp_path / "bundles.yaml"
    file.write_text(OWN)
    return await make_api(Settings(api=ApiSettings(gateway_url=GATEWAY, bundles_file=str(file))))


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        pytest.param("", ["tiny", "big", "desk"], id="all"),
        pytest.param("/", ["tiny", "big", "desk"], id="slash"),
        pytest.param("?useCases=workload", ["tiny", "big"], id="one-use-case"),
        pytest.param("?useCases=notebook&useCases=workload", ["tiny", "big", "desk"], id="two"),
        pytest.param("?useCases=job", [], id="no-such-use-case"),
        pytest.param("?limit=1&offset=1", ["big"], id="a-page"),
    ],
)
async def test_the_catalogue_is_listed(own, query, ids):
    answer = await own.owner.get(f"{BUNDLES}{query}")
    assert answer.status_code == 200
    assert [bundle["id"] for bundle in answer.json()["data"]] == ids


async def test_a_bundle_says_all_that_there_is_to_know(own):
    first = (await own.owner.get(BUNDLES)).json()["data"][0]
    assert first == {
        "id": "tiny",
        "name": "tiny",
        "description": "",
        "cpuCount": 0.5,
        "memoryBytes": 256 * 2**20,
        "gpuCount": 0,
        "gpuMaker": None,
        "gpuTypeLabel": None,
        "gpuMemoryBytes": None,
        "pricePerHour": 0.5,
        "useCases": ["workload"],
    }


async def test_without_a_file_the_examples_are_listed(api):
    answer = (await api.owner.get(f"{BUNDLES}?limit=100")).json()
    assert "cpu.small" in {bundle["id"] for bundle in answer["data"]}
    assert answer["next"] is None


@pytest.mark.parametrize("base", ["/api/v2/workloads", "/api/v2/console/workloads"])
async def test_a_bundle_is_inferred_from_an_allocation_and_shown(api, base):
    workload = await api.workload(runtime=allocated(cpu=0.5, memory="512MB"))
    one = f"{base}/{workload['id']}"
    proton = f"{one}/protons/{workload['protonId']}"
    for path in (one, f"{one}/settings", proton):
        group = group_of((await api.owner.get(path)).json())
        assert group["resourceBundles"] == ["cpu.small"]
        assert group["resolvedBundle"] == {
            "id": "cpu.small",
            "cpuCount": 1,
            "memoryBytes": 536870912,
            "gpuCount": 0,
            "gpuMaker": None,
            "gpuTypeLabel": None,
        }
        assert group["containers"][0]["resourceAllocation"]["memory"] == 512_000_000


async def test_settings_sent_back_as_they_were_answered_change_nothing(api):
    workload = await api.workload(runtime=allocated(cpu=0.5, memory="512MB"))
    settings = f"/api/v2/workloads/{workload['id']}/settings"
    shown = (await api.owner.get(settings)).json()["runtime"]
    answer = await api.owner.patch(settings, json={"runtime": shown})
    assert (answer.status_code, answer.json()["runtime"]) == (202, shown)
    assert (await api.owner.get(settings)).json()["runtime"] == shown
    group = api.services.mirror.get(Proton, workload["protonId"]).runtime.group()
    assert (group.resource_bundles, group.containers[0].resources.cpu) == ((), 0.5)


async def test_stated_bundles_are_kept_in_order_and_the_first_is_resolved(api):
    runtime = runtime_body(resourceBundles=["gpu.medium", "cpu.small"])
    workload = await api.workload(runtime=runtime)
    group = group_of(workload)
    assert group["resourceBundles"] == ["gpu.medium", "cpu.small"]
    assert group["resolvedBundle"]["gpuTypeLabel"] == "nvidia-a10g-1x"


async def test_of_the_candidates_the_first_that_a_node_could_carry_is_resolved(api):
    runtime = runtime_body(resourceBundles=["gpu.medium", "cpu.5xlarge", "cpu.small"])
    before = await api.workload(runtime=runtime)
    await api.write(Node(id=IDS.new(), name="here", cpu=2, memory_bytes=2**32))
    after = await api.workload(runtime=runtime)
    assert group_of(after)["resolvedBundle"]["id"] == "cpu.small"
    assert group_of(after)["resourceBundles"] == group_of(before)["resourceBundles"]
    shown = (await api.owner.get(f"/api/v2/workloads/{before['id']}")).json()
    assert group_of(shown)["resolvedBundle"]["id"] == "gpu.medium", "what runs keeps its size"


async def test_what_most_replicas_have_is_resolved_and_each_says_what_it_has_and_why(api):
    workload = await api.workload(runtime=runtime_body(resourceBundles=["gpu.medium", "cpu.small"]))
    of = {"workload_id": workload["id"], "updated_at": 20.0}
    await api.write(
        Scale(
            id=workload["protonId"],
            wanted_replicas=1,
            ready_replicas=1,
            state=ProtonState.RUNNING,
            reason="on_target",
            bundle="cpu.small",
            **of,
        ),
        Replica(
            id=IDS.new(),
            workload_id=workload["id"],
            proton_id=workload["protonId"],
            phase=ReplicaPhase.READY,
            bundle="cpu.small",
            bundle_reason="gpu.medium: others have all of it",
            created_at=20.0,
        ),
    )
    one = f"/api/v2/workloads/{workload['id']}"
    proton = f"{one}/protons/{workload['protonId']}"
    for path in (one, f"{one}/settings", proton):
        group = group_of((await api.owner.get(path)).json())
        assert group["resourceBundles"] == ["gpu.medium", "cpu.small"]
        assert group["resolvedBundle"]["id"] == "cpu.small"
    [replica] = (await api.owner.get(f"{proton}/statusDetails")).json()["replicas"]
    assert replica["bundle"] == "cpu.small"
    assert replica["bundleReason"] == "gpu.medium: others have all of it"


async def test_without_sizes_there_is_no_bundle(api):
    group = group_of(await api.workload())
    assert (group["resourceBundles"], group["resolvedBundle"]) == ([], None)


@pytest.mark.parametrize(
    ("runtime", "said"),
    [
        pytest.param(
            runtime_body(resourceBundles=["tiy"]),
            "resourceBundles: There is no bundle 'tiy', did you mean 'tiny'? Known bundles: tiny,"
            " big.",
            id="unknown",
        ),
        pytest.param(
            runtime_body(resourceBundles=["desk"]),
            "resourceBundles: Bundle 'desk' is for notebook only; for workloads there are: tiny,"
            " big.",
            id="for-other-uses",
        ),
        pytest.param(
            allocated(cpu=5),
            "ResourceBundleInferenceError (not_enough_cpu): No bundle has 5 cores: the largest that"
            " has all else, big, has 4. Ask for less, or add a bundle to the catalogue"
            " (`api.bundles_file`).",
            id="nothing-fits",
        ),
    ],
)
async def test_what_the_catalogue_does_not_have_is_refused(own, runtime, said):
    artifact = await own.artifact()
    body = {"name": "w", "artifactId": artifact["id"], "runtime": runtime}
    answer = await own.owner.post("/api/v2/workloads", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"] == [said]


async def test_a_running_workload_whose_new_size_fits_nothing_serves_on_and_the_replacement_errs(
    own,
):
    workload = await own.workload(runtime=allocated(**ALLOCATION))
    one = f"/api/v2/workloads/{workload['id']}"
    answer = await own.owner.patch(f"{one}/settings", json={"runtime": allocated(cpu=5)})
    assert (answer.status_code, answer.json()["status"]) == (202, "errored")
    assert answer.json()["message"].startswith("ResourceBundleInferenceError (not_enough_cpu)")
    after = (await own.owner.get(one)).json()
    assert after["protonId"] == workload["protonId"]
    assert group_of(after) == group_of(workload)
    event = (await own.owner.get(f"{one}/events")).json()["data"][0]
    assert event["eventType"] == "Replacement Errored"
    assert event["details"]["message"] == answer.json()["message"]
    # A stopped workload has nothing to go on with: its owner is told at once.
    await own.owner.post(f"{one}/stop")
    refused = await own.owner.patch(f"{one}/settings", json={"runtime": allocated(cpu=5)})
    assert refused.status_code == 422
