"""What makes replicas real: local processes now."""
