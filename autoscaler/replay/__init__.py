"""Traffic traces: made, recorded, and run through the autoscaler's own code."""
