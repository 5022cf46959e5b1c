"""What may be kept of a payment that Trustly showed: what it is, never who pays and from which account.

Bank logins, payers, their addresses and tokens are left out by naming what stays. The names are Trustly's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

TEXT_MAX: Final = 2_000
LISTED_MAX: Final = 50
NOWHERE: Final = "0.0.0.0"
"""Trustly's records always name the consumer's address, which is not kept either."""

PLAIN: Final = (
    *("paymentId", "paymentType", "merchantReference", "merchantId", "description", "currency", "amount"),
    *("authorizationStatus", "authorizationStatusMessage", "createdAt", "updatedAt", "recordVersion", "paymentFlow"),
    *("system", "country", "paymentProviderSubtype"),
)
_OBJECTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "merchant": ("merchantId", "name"),
        "verification": ("status", "mode", "verifyCustomer"),
        "account": ("type", "profile", "accountNumberLastFour", "verified", "country"),
        "paymentProvider": ("paymentProviderId", "type", "name", "subType", "country"),
        "auth": ("status", "message"),
    }
)
_LISTS: Final = ("allowedPaymentProviderType",)
_LAST_FOUR: Final = 4


def kept(shown: Mapping[str, Any]) -> dict[str, Any]:
    """What may be kept of a Payment object, in its own names. Kept again, it stays what it is."""
    found: dict[str, Any] = _scalars(shown, PLAIN)
    for name, members in _OBJECTS.items():
        if isinstance(inner := shown.get(name), Mapping) and (some := _scalars(inner, members)):
            found[name] = some
    for name in _LISTS:
        if isinstance(several := shown.get(name), list | tuple):
            found[name] = [_plain(each) for each in several[:LISTED_MAX] if _is_scalar(each)]
    if "accountNumberLastFour" in found.get("account", {}):
        last = str(found["account"]["accountNumberLastFour"])[-_LAST_FOUR:]  # whatever a bank calls its last four
        found["account"] = {**found["account"], "accountNumberLastFour": last}
    return found


def _scalars(shown: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: _plain(shown[name]) for name in names if _is_scalar(shown.get(name))}


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | Decimal)


def _plain(value: str | int | Decimal) -> str | int:
    """As a document can hold it: figures with a point as text, exactly."""
    if isinstance(value, Decimal):
        return format(value, "f")
    return value[:TEXT_MAX] if isinstance(value, str) else value
