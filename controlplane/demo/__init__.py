"""The sample service of `tidegate demo`."""
