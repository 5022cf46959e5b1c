"""Small programs for people who work on Moneyback, run from the root of a checkout: `python -m scripts.<name>`."""
