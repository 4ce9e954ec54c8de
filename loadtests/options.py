"""The command line of a load test. Knows nothing of locust.

`python -m loadtests.options` prints our own options: locust prints only its own with `--help`,
because it does so before it has read the locust file.
"""

import argparse
from pathlib import Path

from loadtests.shapes import Shape


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare our options; locust's own are there already."""
    where = parser.add_argument_group("Where to (Tidegate)")
    where.add_argument(
        "--workload",
        metavar="NAME",
        help="Name or id of a workload, in place of --host: the API tells its invoke URL.",
    )
    where.add_argument(
        "--token",
        default=None,
        help="Sent as `Authorization: Bearer`. Default: TIDEGATE_TOKEN, else that of `tidegate "
        "login`, which is only sent to invoke URLs that its own API names.",
    )
    where.add_argument(
        "--api-url",
        default=None,
        metavar="URL",
        help="API that is asked for replicas during the run. Default: TIDEGATE_API_URL, `tidegate "
        "login`, or the `tidegate up` of this machine; without one the page has no replicas.",
    )
    where.add_argument(
        "--insecure", action="store_true", help="Take any TLS certificate. Default: check it."
    )
    _add_load(parser)
    _add_calls(parser)


def _add_load(parser: argparse.ArgumentParser) -> None:
    load = parser.add_argument_group("How much (Tidegate)")
    load.add_argument(
        "--shape",
        choices=[shape.value for shape in Shape],
        default=Shape.STEADY.value,
        help="How the load goes over time. Closed loop: steady (--users all the time), ramp (1 to "
        "--users), spike (--base-users, with --users from 40%% to 60%% of the run), diurnal "
        "(between both, as a cosine). Open loop, at most --users requests at a time: rate "
        "(--rate), replay (--trace). Default: steady. --run-time ends it; default 60 s, replay: "
        "the trace's end. --users: default 1, open loop 100.",
    )
    load.add_argument(
        "--base-users",
        type=int,
        default=None,
        metavar="N",
        help="Users in the quiet times of spike and diurnal, 0 to --users. Default: a tenth.",
    )
    load.add_argument(
        "--period",
        type=float,
        default=None,
        metavar="SECONDS",
        help="Length of diurnal's day, above 0. Default: the whole run.",
    )
    load.add_argument(
        "--rate",
        type=float,
        default=10.0,
        metavar="PER_S",
        help="Requests per second of --shape rate, above 0. Default: 10.",
    )
    load.add_argument(
        "--trace",
        type=Path,
        default=None,
        metavar="FILE",
        help="CSV of arrivals for --shape replay: Azure's LLM traces or a ServeGen client.",
    )
    load.add_argument(
        "--trace-from",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="Where in the trace to begin, 0 or above. Default: 0.",
    )
    load.add_argument(
        "--trace-speed",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="Seconds of the trace per second of the run, above 0. Default: 1.",
    )
    load.add_argument(
        "--trace-keep",
        type=float,
        default=1.0,
        metavar="RATIO",
        help="Share of the arrivals that is sent, above 0 to 1: rows are chosen at random, windows "
        "get a lower rate. Default: 1.",
    )
    load.add_argument(
        "--seed", type=int, default=1, help="Of everything that is drawn at random. Default: 1."
    )
    load.add_argument(
        "--think",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="Closed loop: time between an answer and the same user's next request, 0 or above. "
        "Default: 0.",
    )


def _add_calls(parser: argparse.ArgumentParser) -> None:
    calls = parser.add_argument_group("What (Tidegate)")
    calls.add_argument(
        "--json-path",
        default="/predict",
        metavar="PATH",
        help="Path and query of JSON requests below the invoke URL. In paths and the body, "
        "{context} and {generated} become the trace's token counts (64 without). Default: "
        "/predict.",
    )
    calls.add_argument("--method", default="POST", help="Of JSON requests. Default: POST.")
    calls.add_argument(
        "--body",
        default='{"input": [1, 2, 3]}',
        metavar="TEXT",
        help="Body of JSON requests; @FILE reads a file; empty: none. Default: a small object.",
    )
    calls.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="Further header of every request; repeatable.",
    )
    calls.add_argument(
        "--stream-path",
        default="/stream?tokens={generated}",
        metavar="PATH",
        help="Path of streams, server-sent events or lines. Default: /stream?tokens={generated}.",
    )
    calls.add_argument(
        "--stream-body",
        default="",
        metavar="TEXT",
        help="Body of a stream's request, which is a POST then; @FILE reads a file. Default: GET.",
    )
    calls.add_argument(
        "--ws-path", default="/ws", metavar="PATH", help="Path of an echoing WebSocket: /ws."
    )
    calls.add_argument(
        "--ws-messages",
        type=int,
        default=10,
        metavar="N",
        help="Messages per WebSocket, one after the other, 1 or above. Default: 10.",
    )
    calls.add_argument(
        "--ws-bytes",
        type=int,
        default=64,
        metavar="BYTES",
        help="Size of a message, 1 or above. Default: 64.",
    )
    calls.add_argument(
        "--mix",
        default="json=8,stream=1,websocket=1",
        metavar="TASK=WEIGHT,...",
        help="What a MixedUser does. Default: json=8,stream=1,websocket=1.",
    )
    calls.add_argument(
        "--timeout",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="Longest silence before a request fails, above 0; above the gateway's cold-start "
        "time-out, or its answers are never seen. Default: 120.",
    )
    calls.add_argument(
        "--results",
        type=Path,
        default=None,
        metavar="DIR",
        help="Write index.html with plots and results.json there. Default: no page.",
    )


def own_parser() -> argparse.ArgumentParser:
    """A parser of our options alone."""
    parser = argparse.ArgumentParser(
        prog="locust -f loadtests/locustfile.py",
        usage="%(prog)s [options] [JsonUser|StreamUser|WebSocketUser|MixedUser ...]",
        description="Beside locust's own options, of which --host, --users, --run-time, "
        "--headless and --csv matter most:",
        add_help=False,
    )
    add_options(parser)
    return parser


if __name__ == "__main__":
    own_parser().print_help()
