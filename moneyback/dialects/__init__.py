"""The providers, one folder each. Nothing else lives here, and no file outside a folder names its provider."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from moneyback.dialect import Dialect


@cache
def load_dialects() -> Mapping[str, Dialect]:
    """Every dialect by name, found by its folder. Raises TypeError for a folder that declares none, or another's."""
    found: dict[str, Dialect] = {}
    for module in pkgutil.iter_modules(__path__):
        dialect = getattr(importlib.import_module(f"{__name__}.{module.name}"), "DIALECT", None)
        if not isinstance(dialect, Dialect) or dialect.name != module.name:
            raise TypeError(f"moneyback/dialects/{module.name} must declare DIALECT, a Dialect named {module.name!r}")
        found[module.name] = dialect
    return MappingProxyType(found)
