"""`python -m p2pnode`: the same as the command."""

from __future__ import annotations

from p2pnode.cli.main import main

if __name__ == "__main__":
    main()
