"""Where requests go and as whom, and what the API tells about it meanwhile."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from controlplane.cli.client import Api, connect
from controlplane.cli.errors import CliError
from loadtests.plan import OptionError
from loadtests.recording import ReplicaSample

_INVOKE_PATH = re.compile(r"/api/v2/endpoints/(workloads|deployments)/([^/]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One invoke URL."""

    url: str
    """Without a trailing slash."""
    token: str | None
    """None: requests go without one."""
    workload_id: str | None
    """None: the URL is no workload's invoke URL."""
    api: Api | None
    """None: no API can be asked."""
    api_problem: str
    """Why not."""


def find_target(
    *,
    host: str | None,
    workload: str | None,
    token: str | None,
    api_url: str | None,
    environ: Mapping[str, str],
) -> Target:
    """Put together what options, environment and `tidegate login` say.

    Args:
        host: An invoke URL, or any other base URL.
        workload: Name or id in its place.
        token: The option.
        api_url: The option.
        environ: The environment.

    Raises:
        OptionError: There is no URL, or the API does not know the workload.
    """
    token = token or environ.get("TIDEGATE_TOKEN")
    api_url = api_url or environ.get("TIDEGATE_API_URL")
    if not (host or workload):
        raise OptionError("no URL: give --host INVOKE_URL or --workload NAME")
    try:
        api = connect(url=api_url, token=token)
        if workload:
            return _by_name(api, workload, token)
    except CliError as exc:
        if workload:
            raise OptionError(f"--workload {workload}: {exc}") from exc
        return _unknown(host or "", token, str(exc))
    url = (host or "").rstrip("/")
    if token and not api_url and urlsplit(api.url).hostname != urlsplit(url).hostname:
        # The token belongs to the invoke URL: nobody said that this API may see it.
        return _unknown(
            url, token, "--api-url names no API, and tokens go to no other host unasked"
        )
    return _by_url(api, url, token)


def _by_name(api: Api, workload: str, token: str | None) -> Target:
    found = api.find("workloads", workload)
    return Target(
        url=found["endpoint"].rstrip("/"),
        token=token or api.token,
        workload_id=found["id"],
        api=api,
        api_problem="",
    )


def _by_url(api: Api, url: str, token: str | None) -> Target:
    match = _INVOKE_PATH.search(urlsplit(url).path)
    if match is None:
        return _unknown(url, token, "this is no workload's invoke URL")
    if match[1] == "deployments":
        return _unknown(url, token, "this is a deployment's URL, and replicas are a workload's")
    try:
        endpoint = api.find("workloads", match[2])["endpoint"]
    except CliError as exc:
        return _unknown(url, token, str(exc))
    # A saved token goes nowhere else than where its own API sends us.
    if token is None and urlsplit(endpoint)[:2] == urlsplit(url)[:2]:
        token = api.token
    return Target(url=url, token=token, workload_id=match[2], api=api, api_problem="")


def _unknown(url: str, token: str | None, problem: str) -> Target:
    return Target(url=url.rstrip("/"), token=token, workload_id=None, api=None, api_problem=problem)


def count_replicas(api: Api, workload_id: str, at_s: float) -> ReplicaSample:
    """How many replicas the workload has now.

    Raises:
        CliError: The API cannot be asked.
    """
    proton_id = api.call("GET", f"workloads/{workload_id}")["protonId"]
    details = api.call("GET", f"workloads/{workload_id}/protons/{proton_id}/statusDetails")
    decisions = api.call("GET", f"workloads/{workload_id}/decisions", query={"limit": 1})["data"]
    replicas = (details or {}).get("replicas") or []
    return ReplicaSample(
        at_s=at_s,
        ready=sum(any(c["ready"] for c in replica["containers"]) for replica in replicas),
        wanted=decisions[0]["replicas"] if decisions else None,
    )
