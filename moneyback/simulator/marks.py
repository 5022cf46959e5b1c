"""Our mark shares a field with the client's own word for a refund: whether it is cut off again from what is shown.

A provider echoes what it was sent. Whoever reads a refund through Moneyback finds its own reference there, whole, and
nothing of ours beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from moneyback.core.refund import Refund
from moneyback.dialects.trustly.marks import unmarked as unmarked_of_trustly
from moneyback.dialects.truust.marks import unmarked as unmarked_of_truust

UNMARKED: Final[Mapping[str, Callable[[Any], Any]]] = MappingProxyType(
    {"trustly": unmarked_of_trustly, "truust": unmarked_of_truust}
)
"""What cuts our mark off, by the name of the rail; elsewhere there is none in any field of a client's."""


def misshown(refund: Refund, shown: Any) -> str | None:
    """What a client would be shown of its reference; None where that is its own."""
    cut = UNMARKED.get(refund.rail)
    if cut is None or shown is None:
        return None
    said, own = cut(shown), _own(refund)
    return None if said == own else f"{said!r} instead of {own!r}"


def _own(refund: Refund) -> Any:
    if refund.rail == "trustly":
        return refund.reference or ""
    stated = refund.request.get("metadata") if refund.dialect == refund.rail else None
    return {"tag": refund.reference, "metadata": None if stated is None else msgspec.json.decode(stated)}
