"""`python -m controlplane.cli` is the `tidegate` command."""

from controlplane.cli.main import main

if __name__ == "__main__":
    main()
