"""The providers of a simulated world, each with its own books: how it behaves as its documents say, and no more.

Written beside the connectors and not from them: what both would take from one place, both would get wrong alike. Of the
product a model uses the frame of calls and replies alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from moneyback.simulator.providers.chip import Chip
from moneyback.simulator.providers.mangopay import Mangopay
from moneyback.simulator.providers.maverick import Maverick
from moneyback.simulator.providers.model import Model
from moneyback.simulator.providers.trustly import Trustly
from moneyback.simulator.providers.truust import Truust

MODELS: Final[Mapping[str, type[Model]]] = MappingProxyType(
    {each.name: each for each in (Truust, Trustly, Chip, Mangopay, Maverick)}
)
"""By the name of the connector that calls them."""
