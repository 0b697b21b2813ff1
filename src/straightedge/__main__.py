"""``python -m straightedge`` is the same as the command."""

from straightedge.cli import main

if __name__ == "__main__":
    main()
