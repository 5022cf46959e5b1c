"""Truust as we serve it: the table of its routes, and whose key a request carries."""

from __future__ import annotations

from typing import Final

from moneyback.dialect import Incoming, Presented
from moneyback.dialects.truust import (
    account,
    bankaccounts,
    cancellation,
    cards,
    customers,
    links,
    orders,
    payins,
    payouts,
    refunds,
    shippings,
    wallets,
)


def presented(incoming: Incoming) -> Presented | None:
    """The secret key of `Authorization: Bearer <key>`, whatever the case of its scheme and the spaces around it."""
    scheme, _, key = incoming.headers.get("authorization", "").strip().partition(" ")
    return Presented(key.strip()) if scheme.lower() == "bearer" and key.strip() else None


ROUTES: Final = (
    *refunds.ROUTES,
    *payins.ROUTES,
    *cancellation.ROUTES,
    *orders.ROUTES,
    *payouts.ROUTES,
    *customers.ROUTES,
    *wallets.ROUTES,
    *bankaccounts.ROUTES,
    *cards.ROUTES,
    *account.ROUTES,
    *shippings.ROUTES,
    *links.ROUTES,
)
