"""`python -m moneyback`: the same as the `moneyback` command."""

from moneyback.cli import main

main()
