"""What the commands that list something have in common."""

from controlplane.cli.client import Json, connect


def searched(
    kind: str, search: str | None, *, limit: int, url: str | None, token: str | None
) -> list[Json]:
    """Entities of a kind.

    Args:
        kind: `workloads`, `artifacts`, ...: the path of its list.
        search: What their names contain; None: anything.
        limit: Most of them.
        url: Of the API; None: see `connect`.
        token: The caller's; None: see `connect`.
    """
    with connect(url=url, token=token) as api:
        return list(api.pages(kind, query={"search": search} if search else {}, limit=limit))


def journal(
    workload: str, name: str, *, limit: int, url: str | None, token: str | None
) -> list[Json]:
    """The newest entries of a workload's `events` or `history`; arguments as of `searched`."""
    with connect(url=url, token=token) as api:
        found = api.find("workloads", workload)
        return list(api.pages(f"workloads/{found['id']}/{name}", limit=limit))
