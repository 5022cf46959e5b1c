"""Moneyback: give money back through any provider, at most once, and never lose track of it."""

__version__ = "0.1.0"
