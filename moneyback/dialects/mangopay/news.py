"""Mangopay's notifications as we receive them: what each is about.

They are GETs with three parameters, signed by nobody (provider docs: webhooks). Whoever knows the address can send one,
so that nothing they say is believed: what they name is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from moneyback.dialect import Heard, Notification
from moneyback.dialects.mangopay.wire import ID_MAX

RESOURCE: Final = ("RessourceId", "ResourceId")
"""The parameter with the id: the double s is real; the other spelling is that of the list of events."""
_EVENT: Final = re.compile(r"[A-Z0-9]+(_[A-Z0-9]+)+")
_WORD: Final = re.compile(r"[\x21-\x7e]+")

PAYMENTS: Final = ("PAYIN_NORMAL_", "TRANSFER_NORMAL_")
REFUNDS: Final = ("PAYIN_REFUND_", "TRANSFER_REFUND_", "PAYOUT_REFUND_")
PAYOUTS_ENDED: Final = ("PAYOUT_NORMAL_SUCCEEDED", "PAYOUT_NORMAL_FAILED")
"""A payout may be a refund of ours. That one was made says nothing new of it."""


def hear(notification: Notification, _credentials: Mapping[str, str]) -> Heard:
    """What a call of a hook is about. Raises ValueError for what is none.

    Events of anything else (users, mandates, disputes) name nothing that could be read as a payment or refund.
    """
    event, identity, date = told(notification)
    about_refund = event.startswith(REFUNDS) or event in PAYOUTS_ENDED
    return Heard(
        digest=f"{event}:{identity}:{date}",
        payments=(identity,) if event.startswith(PAYMENTS) else (),
        refunds=(identity,) if about_refund else (),
    )


def told(notification: Notification) -> tuple[str, str, str]:
    """Event, resource and date as they were written. Raises ValueError."""
    said = dict(notification.query)
    event, date = said.get("EventType", ""), said.get("Date", "")
    identity = next((said[name] for name in RESOURCE if said.get(name)), "")
    if not _EVENT.fullmatch(event) or len(event) > ID_MAX:
        raise ValueError("there is no EventType")
    if not _WORD.fullmatch(identity) or len(identity) > ID_MAX:
        raise ValueError("there is no RessourceId")
    if not (date.isascii() and date.isdigit()) or len(date) > ID_MAX:
        raise ValueError("there is no Date")
    return event, identity, date
