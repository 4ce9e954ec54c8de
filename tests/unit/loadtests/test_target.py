import httpx2
import pytest

from controlplane.cli.client import Api
from controlplane.cli.credentials import Credentials
from loadtests.plan import OptionError
from loadtests.recording import ReplicaSample
from loadtests.target import _by_name, _by_url, count_replicas, find_target

WORKLOAD = "6b022d8a25fecce02455f7c1"
ENDPOINT = f"http://gateway:8080/api/v2/endpoints/workloads/{WORKLOAD}"
REPLICAS = [
    {"containers": [{"ready": True}]},
    {"containers": [{"ready": False}, {"ready": True}]},
    {"containers": [{"ready": False}]},
]


def answer(request: httpx2.Request) -> httpx2.Response:
    """The API's side, as far as it is asked."""
    workload = {"id": WORKLOAD, "name": "echo", "protonId": "p1", "endpoint": f"{ENDPOINT}/"}
    base = f"/api/v2/workloads/{WORKLOAD}"
    answers = {
        base: workload,
        "/api/v2/workloads": {"data": [workload], "next": None},
        f"{base}/protons/p1/statusDetails": {"replicas": REPLICAS},
        f"{base}/decisions": {"data": [{"replicas": 3}]},
    }
    found = answers.get(request.url.path)
    return httpx2.Response(404, json={}) if found is None else httpx2.Response(200, json=found)


@pytest.fixture
def api():
    credentials = Credentials(url="http://api:8081", token="saved")
    with Api(credentials, transport=httpx2.MockTransport(answer)) as made:
        yield made


def test_a_name_leads_to_the_invoke_url_that_the_api_tells(api):
    target = _by_name(api, "echo", None)
    assert (target.url, target.workload_id, target.token) == (ENDPOINT, WORKLOAD, "saved")


@pytest.mark.parametrize(
    ("url", "given", "token"),
    [
        pytest.param(ENDPOINT, None, "saved", id="its-own-gateway"),
        pytest.param(ENDPOINT, "mine", "mine", id="a-given-token-wins"),
        pytest.param(ENDPOINT.replace("gateway", "elsewhere"), None, None, id="another-host"),
        pytest.param(ENDPOINT.replace("8080", "80"), None, None, id="another-port"),
    ],
)
def test_a_saved_token_goes_only_where_its_api_sends_us(api, url, given, token):
    assert _by_url(api, url, given).token == token


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://anything:80/predict", "no workload's invoke URL"),
        ("http://gateway:8080/api/v2/endpoints/deployments/x", "a deployment's URL"),
        ("http://gateway:8080/api/v2/endpoints/workloads/x", "no workload is called"),
    ],
)
def test_a_url_of_which_the_api_knows_nothing_has_no_replicas(api, url, says):
    target = _by_url(api, url, None)
    assert target.api is target.workload_id is target.token is None
    assert says in target.api_problem


def test_replicas_that_are_ready_and_wanted_are_counted(api):
    assert count_replicas(api, WORKLOAD, 4.5) == ReplicaSample(4.5, ready=2, wanted=3)


def test_without_any_url_there_is_nothing_to_do():
    with pytest.raises(OptionError, match="no URL"):
        find_target(host=None, workload=None, token=None, api_url=None, environ={})
