"""What the control plane's API costs with many workloads."""
