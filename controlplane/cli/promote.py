"""`tidegate workload promote`: from a draft to production, in place."""

from controlplane.cli import options
from controlplane.cli.client import connect
from controlplane.cli.output import print_json, say


def promote(
    workload: options.Workload,
    *,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """Lock the draft that a workload runs, for good: it expires no more, and nothing restarts."""
    with connect(url=url, token=token) as api:
        found = api.find("workloads", workload)
        promoted = api.call("POST", f"workloads/{found['id']}/promote")
    if as_json:
        print_json(promoted)
        return
    artifact = promoted["artifact"]
    say(f"{promoted['name']}  artifact {artifact['id']}  locked as version {artifact['version']}")
