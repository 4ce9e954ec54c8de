"""What can go wrong in the autoscaler, beyond the store's own errors."""


class AutoscalerError(Exception):
    """Base of the autoscaler's errors."""


class LeadershipLostError(AutoscalerError):
    """Another autoscaler holds the lease, or did in between: this term is over, write nothing.

    The process goes on as a standby and begins a new term when it gets the lease.
    """
