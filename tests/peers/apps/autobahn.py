"""Runs Autobahn cases of `kosoku` against a server and prints what each came to, as JSON.

A process of its own: the cases, written for Python 2, leave files open for the collector.

Usage: autobahn.py URL CASE...
"""

import asyncio
import json
import os
import sys
from typing import Any

from kosoku import FailureError, run_fuzzingclient


def outcome(case: Any) -> dict[str, Any]:
    """All of it but times and the sizes of reads and writes."""
    verdict = {
        "passed": case.passed,
        "behavior": case.behavior.value,
        "closing": case.behavior_close.value,
    }
    if case.behavior.value == "INFORMATIONAL":
        return verdict  # what happens in detail is nobody's promise
    return {
        **verdict,
        "why": case.result_close,
        "code": [case.local_close_code, case.remote_close_code],
        "reason": [case.local_close_reason, case.remote_close_reason],
        "clean": case.was_clean,
        "unclean why": case.was_not_clean_reason,
        "ended by": [case.closed_by_me, case.failed_by_me, case.dropped_by_me],
        "timeouts": [
            case.was_open_handshake_timeout,
            case.was_close_handshake_timeout,
            case.was_server_connection_drop_timeout,
        ],
        "received": case.received,
        "frames received": sorted(case.rx_frame_stats.items()),
        "frames sent": sorted(case.tx_frame_stats.items()),
    }


async def main(url: str, *selected: str) -> None:
    try:
        cases = await run_fuzzingclient(url, selected, concurrency=4)
    except FailureError as failure:
        cases = list(failure.results)
    json.dump({case.case_id: outcome(case) for case in cases}, sys.stdout, default=repr)


asyncio.run(main(*sys.argv[1:]))
sys.stdout.flush()
# Now and then what the cases loaded calls abort() when it is unloaded: all is said, so it is not.
os._exit(0)
