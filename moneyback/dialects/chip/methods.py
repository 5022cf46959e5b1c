"""Ways to pay that CHIP knows: what is offered in which currency, what a whitelist may name, what each can do."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from moneyback.core.money import UnknownCurrency, currency
from moneyback.dialect import Caller, Conversation, Incoming, Outgoing
from moneyback.dialects.chip.fields import Form, invalid

CARDS: Final = ("visa", "mastercard", "maestro")
WALLETS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "fpx": "FPX",
        "fpx_b2b1": "FPX B2B1",
        "duitnow_qr": "DuitNow QR (older)",
        "dnqr": "DuitNow QR",
        "razer_grabpay": "GrabPay",
        "razer_maybankqr": "Maybank QR",
        "razer_shopeepay": "ShopeePay (older)",
        "shopee_pay": "Shopee Pay",
        "razer_tng": "Touch 'n Go",
        "razer_atome": "Atome",
    }
)
"""Paid in ringgit, by a Malaysian account."""
PHONES: Final[Mapping[str, str]] = MappingProxyType({"mpgs_google_pay": "Google Pay", "mpgs_apple_pay": "Apple Pay"})
_CARD_NAMES: Final = {"visa": "Visa", "mastercard": "Mastercard", "maestro": "Maestro"}
_CRYPTO: Final = {"crypto_coin": "Crypto"}
_KLIX: Final = {"klix": "Klix", "klix_pis": "Klix payment initiation", "klix_pay_later": "Klix Pay Later"}
"""Of the platform's other brand: not offered, but a shop written for it names them."""
GROUPED: Final = "razer"
"""Listed as a method, and refused in a whitelist: it stands for all of `razer_…` (recorded of CHIP's sandbox)."""
NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {**WALLETS, GROUPED: "Razer", **_CARD_NAMES, **PHONES, **_CRYPTO, **_KLIX}
)
"""Every method and its name."""
HOME: Final = "MY"
ANYWHERE: Final = "any"
_HOME_CURRENCY: Final = "MYR"


def offered_in(code: str, *, card_only: bool = False) -> tuple[str, ...]:
    """The methods by which this currency can be paid; `card_only`: those that can hold, and keep, a payer's means."""
    local = tuple(WALLETS) if code == _HOME_CURRENCY and not card_only else ()
    phones = () if card_only else tuple(PHONES)
    return (*local, *CARDS, *phones)


def payable_by(code: str, whitelist: list[str] | None, *, card_only: bool) -> tuple[str, ...]:
    """The methods by which one purchase can be paid. A whitelist may name what is not offered to everybody."""
    if whitelist is None:
        return offered_in(code, card_only=card_only)
    return tuple(each for each in whitelist if each in CARDS or not card_only)


def read_whitelist(form: Form) -> list[str] | None:
    """`payment_method_whitelist` of a creation; what is wrong is noted there."""
    name = "payment_method_whitelist"
    if form.given(name) is None:
        return None
    found = form.words(name, NAMES, least=1)
    if GROUPED in found:
        form.wrong(name, "invalid_payment_method_whitelist", "This payment method can't be used in a whitelist.")
    return found


def list_methods(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /payment_methods/: what can be used for a purchase of this brand and currency."""
    yield from ()
    wrongs: list[Any] = []
    form = Form(dict(incoming.query), wrongs)
    form.uuid("brand_id", required=True)
    code = form.text("currency", required=True)
    form.integer("amount", minimum=0)
    card_only = any(form.flag(each) for each in ("recurring", "skip_capture", "preauthorization"))
    country = form.country("country")
    try:
        currency(code)
    except UnknownCurrency:
        if code:
            form.wrong("currency", "invalid_choice", "This is not a valid choice.")
    if wrongs:
        return invalid(wrongs)
    return Outgoing(body=_listed(offered_in(code, card_only=card_only), country))


def _listed(methods: tuple[str, ...], country: str) -> dict[str, Any]:
    local = [each for each in methods if each in WALLETS]
    local += [GROUPED] if local else []
    anywhere = [each for each in methods if each not in WALLETS]
    if country not in ("", HOME):
        local = []
    by_country = {ANYWHERE: anywhere, HOME: local} if local else {ANYWHERE: anywhere}
    available = [*local, *anywhere]
    return {
        "available_payment_methods": available,
        "by_country": by_country,
        "country_names": {ANYWHERE: "Other", HOME: "Malaysia"} if local else {ANYWHERE: "Other"},
        "names": {each: NAMES[each] for each in available},
        "logos": {each: f"/static/images/icon-{each}.svg" for each in available},
        "card_methods": [each for each in available if each in CARDS],
    }
