"""What one round of decisions costs, with nothing but the autoscaler's own work in it."""
