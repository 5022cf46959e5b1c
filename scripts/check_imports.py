"""Holds the import contracts of pyproject.toml against the code; exits with 1 and the chain when one is broken."""

import sys

from importlinter.cli import lint_imports


def main() -> None:
    sys.exit(lint_imports(no_cache=True, no_logo=True))


if __name__ == "__main__":
    main()
