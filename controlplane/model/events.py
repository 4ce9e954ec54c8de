"""What the event journals speak of: every type that is ever written, by whichever process.

The contract's own two are `Replacement Completed` and `Replacement Errored`; the others are ours,
in the same form. When each is written and what its `details` hold is a table in the control plane's
README; a test keeps the two alike. A name is never reused or reworded: clients filter by it.
"""

from enum import StrEnum
from typing import Final

EVENTS_KEPT: Final = 10_000
"""Events per workload, and ended replacements in its history; older ones are forgotten. A workload
that writes one every 5 minutes keeps them for more than 30 days."""


class EventType(StrEnum):
    """`eventType` of a workload's events."""

    WORKLOAD_CREATED = "Workload Created"
    WORKLOAD_UPDATED = "Workload Updated"
    WORKLOAD_STARTED = "Workload Started"
    WORKLOAD_STOPPED = "Workload Stopped"
    WORKLOAD_PROMOTED = "Workload Promoted"
    WORKLOAD_EXPIRING = "Workload Expiring"
    WORKLOAD_EXPIRED = "Workload Expired"
    WORKLOAD_DELETED = "Workload Deleted"
    SETTINGS_CHANGED = "Settings Changed"
    SHARING_CHANGED = "Sharing Changed"
    STATISTICS_RESET = "Statistics Reset"

    REPLACEMENT_STARTED = "Replacement Started"
    REPLACEMENT_STEP = "Replacement Step"
    REPLACEMENT_HELD = "Replacement Held"
    REPLACEMENT_RESUMED = "Replacement Resumed"
    REPLACEMENT_SWITCHED = "Replacement Switched"
    REPLACEMENT_COMPLETED = "Replacement Completed"
    REPLACEMENT_CANCELLED = "Replacement Cancelled"
    REPLACEMENT_ERRORED = "Replacement Errored"

    DEPLOYMENT_CREATED = "Deployment Created"
    DEPLOYMENT_UPDATED = "Deployment Updated"
    DEPLOYMENT_DELETED = "Deployment Deleted"

    SCALED_FROM_ZERO = "Scaled From Zero"
    SCALED_TO_ZERO = "Scaled To Zero"
    PANIC_ENTERED = "Panic Entered"
    PANIC_LEFT = "Panic Left"
    MAXIMUM_REACHED = "Maximum Reached"
    CAPACITY_REFUSED = "Capacity Refused"
    CAPACITY_GRANTED = "Capacity Granted"
    REPLICAS_PREEMPTED = "Replicas Preempted"
    PROTON_ERRORED = "Proton Errored"
    PROTON_RECOVERED = "Proton Recovered"
