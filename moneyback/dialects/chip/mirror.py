"""A Purchase that was made at CHIP, as its client is to see it: CHIP's own words, and what CHIP does not know yet.

What CHIP has shown is kept whole and shown again, members that we have never heard of included. Over it is laid what
stands here and not there: a refund that has not ended, one that CHIP showed nothing of when it was last asked, and one
that was refused before it was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from moneyback.core.payment import Payment
from moneyback.core.refund import Refund, State
from moneyback.dialects.chip import document
from moneyback.dialects.chip.objects import Viewer, history_entry, purchase, refund_attempt, refund_id, refund_payment
from moneyback.dialects.chip.standing import status
from moneyback.dialects.chip.wire import SHOWN, Availability, Shown, Status

_UNTOUCHED: Final = (Status.PAID, Status.CLEARED, Status.SETTLED)
_OF_THE_PURCHASE: Final = ("client", "company_id", "is_test", "brand_id", "reference", "reference_generated")
_OF_THE_MEANS: Final = ("payment_method", "extra", "country")


def mirrored(payment: Payment, refunds: tuple[Refund, ...], viewer: Viewer) -> dict[str, Any]:
    """The Purchase as it stands, told from its facts where it was made here; `refunds` are all of it, oldest first."""
    shown = document.shown(payment)
    if shown is None:
        return purchase(payment, refunds, viewer)
    unseen = [each for each in refunds if _is_unseen(each, shown)]
    present = _present(payment, shown)
    return {
        **shown,
        "transaction_data": _transaction_data(payment, unseen, shown),
        "status": present,
        "status_history": _history(payment, refunds, unseen, present, shown),
        **_offered(payment, shown),
    }


def mirrored_refund(refund: Refund, payment: Payment, viewer: Viewer) -> dict[str, Any]:
    """The Payment that a refund has generated: of whom, and by which means, is what CHIP shows on its Purchase."""
    made, shown = refund_payment(refund, payment, viewer), document.shown(payment)
    if shown is None:
        return made
    means = _below(shown, "transaction_data")
    attempts = [{**each, **_taken(means, _OF_THE_MEANS)} for each in made["transaction_data"]["attempts"]]
    return {
        **made,
        **_taken(shown, _OF_THE_PURCHASE),
        "transaction_data": {**made["transaction_data"], **_taken(means, _OF_THE_MEANS), "attempts": attempts},
        "related_to": {**made["related_to"], **_taken(shown, ("reference",))},
    }


def _is_unseen(refund: Refund, shown: Mapping[str, Any]) -> bool:
    """Whether it has ended, and CHIP has shown nothing of it: it was asked before, or never told."""
    if refund.state is State.SUCCEEDED and refund.provider_id is not None:
        return all(refund.provider_id != _related(each) for each in shown.get("status_history", ()))
    return refund.ended and SHOWN[refund.state] is Shown.ERROR and not refund.generation


def _present(payment: Payment, shown: Mapping[str, Any]) -> str:
    """CHIP's status, unless more has happened here than it knows."""
    word = str(shown.get("status", ""))
    return status(payment).value if payment.held or word in _UNTOUCHED else word


def _offered(payment: Payment, shown: Mapping[str, Any]) -> dict[str, Any]:
    """What may be refunded now: the lower of the two figures. Nothing can be refunded of what has not come in."""
    theirs = shown.get("refundable_amount", 0)
    left = min(theirs, payment.refundable)
    closed = theirs and not left
    word = Availability.NONE.value if closed else shown.get("refund_availability", Availability.NONE.value)
    return {"refund_availability": word, "refundable_amount": left}


def _transaction_data(payment: Payment, unseen: list[Refund], shown: Mapping[str, Any]) -> dict[str, Any]:
    """Attempts are newest first; the ones CHIP has not shown stand before those that are no newer."""
    told = _below(shown, "transaction_data")
    means = _taken(told, _OF_THE_MEANS)
    attempts = list(told.get("attempts", ()))
    for each in unseen:
        own = {**refund_attempt(each, payment), **means}
        at = next((n for n, other in enumerate(attempts) if _time(other) <= _time(own)), len(attempts))
        attempts.insert(at, own)
    return {**told, "attempts": attempts}


def _history(
    payment: Payment, refunds: tuple[Refund, ...], unseen: list[Refund], present: str, shown: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Its statuses, latest last, each refund under the id its client knows it by."""
    own = {each.provider_id: refund_id(each) for each in refunds if each.named == "own" and each.provider_id}
    history = [_told_as(own, each) for each in shown.get("status_history", ())]
    executed = [each for each in unseen if each.state is State.SUCCEEDED]
    history += [history_entry(Status.REFUNDED, each.ended_at or each.updated_at, each) for each in executed]
    if present != shown.get("status") and (not history or history[-1]["status"] != present):
        since = next((each.created_at for each in refunds if not each.ended), payment.updated_at)
        history.append(history_entry(Status(present), since))  # ours to say, and none that CHIP has invented since
    return history


def _told_as(own: Mapping[str, str], entry: Mapping[str, Any]) -> dict[str, Any]:
    id = own.get(_related(entry))
    return dict(entry) if id is None else {**entry, "related_object": {**entry["related_object"], "id": id}}


def _related(entry: Mapping[str, Any]) -> str:
    return str((entry.get("related_object") or {}).get("id", ""))


def _time(attempt: Mapping[str, Any]) -> int:
    return int(attempt.get("processing_time") or 0)


def _below(shown: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = shown.get(name)
    return found if isinstance(found, Mapping) else {}


def _taken(shown: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: shown[name] for name in names if name in shown}
