"""The control plane: the words all processes share, the store, the REST API and the CLI."""

__version__ = "0.1.0"
