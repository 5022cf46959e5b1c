"""The values and the decisions of a refund platform, and nothing that touches the world.

Everything in this package is a frozen value or a function of its arguments: no I/O, no clock, no randomness,
no logging. Time and ids are handed in; what shall be written is handed back as a plan. It imports nothing
from the rest of `moneyback`.
"""
