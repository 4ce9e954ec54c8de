"""`tidegate artifact`: what to run, as a thing of its own."""

from operator import itemgetter
from typing import Annotated

import typer

from controlplane.cli import creating, options
from controlplane.cli.client import connect
from controlplane.cli.lists import searched
from controlplane.cli.output import or_dash, print_items, print_json, say, second
from controlplane.cli.specs import ContainerOptions, artifact_body, read_spec, usage

app = typer.Typer(help="Create, look at, lock, clone and delete artifacts.", no_args_is_help=True)

Artifact = Annotated[str, typer.Argument(metavar="ARTIFACT", help="Name or id of an artifact.")]


@app.command("create")
def create(
    *,
    file: creating.SpecFile = None,
    name: creating.Name = None,
    entrypoint: creating.Entrypoint = None,
    port: creating.Port = 8080,
    image: creating.Image = None,
    env: creating.Env = None,
    readiness: creating.Readiness = None,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """Create a draft artifact, from options or from a file."""
    if file:
        body = read_spec(str(file))
        body |= {"name": name} if name else {}
    elif name:
        container = ContainerOptions(
            entrypoint=entrypoint, port=port, image=image, env=env or (), readiness=readiness
        )
        body = artifact_body(name, container)
    else:
        raise usage("an artifact needs a name", "Give --name, or a whole body with -f FILE.")
    with connect(url=url, token=token) as api:
        created = api.call("POST", "artifacts", body=body)
    if as_json:
        print_json(created)
    else:
        say(f"{created['name']}  {created['id']}  {created['status']}")


@app.command("list")
def list_(
    *,
    search: options.Search = None,
    limit: options.Most = 100,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """List artifacts."""
    print_items(
        searched("artifacts", search, limit=limit, url=url, token=token),
        {
            "NAME": itemgetter("name"),
            "ID": itemgetter("id"),
            "STATUS": itemgetter("status"),
            "VERSION": lambda item: or_dash(item["version"]),
            "CREATED": lambda item: second(item["createdAt"]),
        },
        as_json=as_json,
    )


@app.command("get")
def get(
    artifact: Artifact,
    *,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
) -> None:
    """Print one artifact as JSON."""
    with connect(url=url, token=token) as api:
        print_json(api.find("artifacts", artifact))


@app.command("lock")
def lock(
    artifact: Artifact,
    *,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
) -> None:
    """Lock an artifact for good: it gets a version, and can no longer be changed."""
    with connect(url=url, token=token) as api:
        found = api.find("artifacts", artifact)
        locked = api.call("PATCH", f"artifacts/{found['id']}", body={"status": "locked"})
    say(f"{locked['name']}  {locked['id']}  locked as version {locked['version']}")


@app.command("clone")
def clone(
    artifact: Artifact,
    *,
    name: Annotated[str, typer.Option(help="Name of the clone.")],
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
    as_json: options.Json = False,
) -> None:
    """Make a new draft of an artifact, locked or not, in the same repository."""
    with connect(url=url, token=token) as api:
        found = api.find("artifacts", artifact)
        made = api.call("POST", f"artifacts/{found['id']}/clone", body={"name": name})
    if as_json:
        print_json(made)
    else:
        say(f"{made['name']}  {made['id']}  {made['status']}")


@app.command("delete")
def delete(
    artifact: Artifact,
    *,
    url: options.ApiUrl = None,
    token: options.ApiToken = None,
) -> None:
    """Delete a draft artifact that no workload uses."""
    with connect(url=url, token=token) as api:
        found = api.find("artifacts", artifact)
        api.call("DELETE", f"artifacts/{found['id']}")
    say(f"deleted {found['name']}  {found['id']}")
