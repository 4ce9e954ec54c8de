"""The autoscaler: how many replicas, why, and making them real."""
