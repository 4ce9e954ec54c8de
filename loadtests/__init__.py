"""Load and cost measurements; `make bench` runs them."""
