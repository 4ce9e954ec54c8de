"""The keys with which replicas send telemetry: each can write for one workload, and nothing else.

A key is derived, not stored: `tgi_<workload id>_<HMAC-SHA256 of the id>`, under a secret of the
installation that is kept in the store. No user's token is ever given to a replica for this.
"""

import hashlib
import hmac
from typing import Final

from controlplane.model.ids import is_object_id

PREFIX: Final = "tgi_"
SECRET: Final = "telemetry"  # noqa: S105 - the secret's name in the store
_PURPOSE: Final = b"otlp ingest for workload "


def ingest_key(secret: bytes, workload_id: str) -> str:
    """The key of a workload."""
    return f"{PREFIX}{workload_id}_{_digest(secret, workload_id)}"


def workload_of(secret: bytes, key: str) -> str | None:
    """The workload that a key may write for; None: it is no key of this installation."""
    workload_id, _, digest = key.removeprefix(PREFIX).partition("_")
    if not key.startswith(PREFIX) or not is_object_id(workload_id):
        return None
    wanted = _digest(secret, workload_id).encode()
    return workload_id if hmac.compare_digest(digest.encode("utf-8", "replace"), wanted) else None


def _digest(secret: bytes, workload_id: str) -> str:
    return hmac.new(secret, _PURPOSE + workload_id.encode(), hashlib.sha256).hexdigest()
