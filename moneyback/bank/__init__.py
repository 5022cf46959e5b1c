"""The sandbox bank: a rail that executes whatever it is told, as often as it is told, and goes wrong on command.

`scenario` says how it goes wrong, `book` what it has written down, `wire` what is said to it and what it answers,
`rules` what it does; all four are pure. `memory` and `postgres` keep the books, `transport` carries calls to them, and
`client` is the connector. Nothing of the engine may live here: its books are the bank's own.
"""
