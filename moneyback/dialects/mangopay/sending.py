"""Sending: the one call that gives money back, and what its answer is evidence of.

Every refund has an Idempotency-Key of its own, the same for every attempt: under it Mangopay keeps what it answered,
which is how a lost answer is found again.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from typing import Any, Final

import msgspec

from moneyback.core.commands import Observation
from moneyback.core.refund import Event, Grade, Refund
from moneyback.dialect import AnswerLost, Call, NotConnected, Reply, Sending, Sent
from moneyback.dialects.mangopay import received
from moneyback.dialects.mangopay.asking import ask_paid, place_of
from moneyback.dialects.mangopay.complaints import REPUDIATED
from moneyback.dialects.mangopay.meanings import FAILURES, STATUSES, meaning
from moneyback.dialects.mangopay.received import Paid, Problem, Shown
from moneyback.dialects.mangopay.responses import FORM
from moneyback.dialects.mangopay.session import Unprepared, path, sign_in
from moneyback.dialects.mangopay.wire import TAG_MAX, is_payout, money, wallet_of

NAME: Final = "mangopay"
_DESCRIPTOR: Final = re.compile(r"[A-Za-z0-9 ]{1,10}")


def send(sending: Sending) -> Sent:
    """A token, the payment's author, then the one call that counts; what came of it, as one observation."""
    try:
        call = yield from _prepared(sending)
    except Unprepared as error:
        return (of_attempt(sending, error.event, message=f"{error}", **error.members),)
    except (NotConnected, AnswerLost) as error:  # only questions were asked so far
        return (of_attempt(sending, Event.SEND_FAILED, message=f"{error}" or None),)
    try:
        reply = yield call
    except NotConnected:
        return (of_attempt(sending, Event.SEND_FAILED),)
    except AnswerLost:
        return (of_attempt(sending, Event.LOST),)
    return (answered(sending, reply),)


def _prepared(sending: Sending) -> Generator[Call, Reply, Call]:
    headers = yield from sign_in()
    paid = yield from ask_paid(sending.payment, headers)
    if goes_by_payout(sending.refund):
        return payout_call(sending, paid, headers)
    return refund_call(sending, paid.author_id, headers)


def goes_by_payout(refund: Refund) -> bool:
    """Whether it was asked for as a payout to a bank account, and so is sent as one."""
    return refund.dialect == NAME and is_payout(refund)


def refund_call(sending: Sending, author: str, headers: Mapping[str, str]) -> Call:
    """Both amounts, always: left out, they would mean the initial ones (provider docs: create a pay-in refund).

    The same key has the same body for every attempt. The key is the refund's, in the letters Mangopay takes.
    """
    body = {"AuthorId": author, **_amounts(sending.refund), **_said_by_client(sending.refund)}
    return _call(sending, path(place_of(sending.payment), sending.payment.reference, "refunds"), body, headers)


def payout_call(sending: Sending, paid: Paid, headers: Mapping[str, str]) -> Call:
    """A payout that says which pay-in it gives back, as its client has asked for it (provider docs: how to refund)."""
    asked = sending.refund.request
    body = {
        "AuthorId": paid.author_id,
        **_amounts(sending.refund),
        "DebitedWalletId": paid.credited_wallet_id or wallet_of(sending.payment),
        "RecipientId" if asked.get("RecipientId") else "BankAccountId": asked["BankAccountId"],
        "PaymentRef": {"ReasonType": "PAYIN_REFUND", "ReferenceId": sending.payment.reference},
        **_tag_of(sending.refund),
    }
    named = ("BankWireRef", "BankWireRef"), ("PayoutModeRequested", "ModeRequested"), ("ChargeBearer", "ChargeBearer")
    for name, own in named:
        if asked.get(own):
            body[name] = asked[own]
    return _call(sending, path("payouts", "bankwire"), body, headers)


def _call(sending: Sending, place: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Call:
    return Call(
        method="POST",
        path=place,
        headers={**headers, "content-type": "application/json", "idempotency-key": key_of(sending)},
        body=msgspec.json.encode(body),
    )


def key_of(sending: Sending) -> str:
    """The refund's Idempotency-Key."""
    key = sending.key.replace("_", "-")
    assert FORM.fullmatch(key), "a key is 16 to 36 letters, digits and dashes"
    return key


def _amounts(refund: Refund) -> dict[str, Any]:
    return {
        "DebitedFunds": money(refund.wallet, refund.currency),
        "Fees": money(-refund.fee_return, refund.currency),
    }


def _said_by_client(refund: Refund) -> dict[str, str]:
    """The client's own Tag and StatementDescriptor, untouched: the key is our mark here."""
    descriptor = refund.request.get("StatementDescriptor") if refund.dialect == NAME else None
    said = _tag_of(refund)
    if isinstance(descriptor, str) and _DESCRIPTOR.fullmatch(descriptor):
        said["StatementDescriptor"] = descriptor
    return said


def _tag_of(refund: Refund) -> dict[str, str]:
    tag = refund.request.get("Tag") if refund.dialect == NAME else refund.reference
    return {"Tag": tag} if isinstance(tag, str) and 0 < len(tag) <= TAG_MAX else {}


# --- what an answer says ---------------------------------------------------------------------------------------------


def answered(sending: Sending, reply: Reply) -> Observation:
    """What an answer to the one call says of this attempt, now or as it was stored under its key."""
    event, shown, problem = meaning(reply), received.refund(reply), received.problem(reply)
    if event is Event.LOST:
        return of_attempt(sending, event, data={"status": reply.status})
    if problem is not None:
        return of_attempt(sending, event, **_words(event, problem), data={"status": reply.status})
    if shown is None or not shown.is_of(sending.payment):
        return of_attempt(sending, Event.LOST, data={"status": reply.status})
    return told(shown)


def _words(event: Event, problem: Problem) -> dict[str, str | None]:
    disputed = any(each.startswith(REPUDIATED) for each in problem.sentences)
    failure = ("disputed" if disputed else "invalid") if event is Event.REFUSED else None
    return {"failure": failure, "code": problem.type, "message": " ".join(problem.sentences)}


def of_attempt(sending: Sending, event: Event, **members: Any) -> Observation:
    """Something that is known of this attempt only; an attempt is sent once, so its mark and the event identify it."""
    return Observation(event=event, digest=f"{sending.mark}:{event.value}", **members)


def told(shown: Shown, grade: Grade = Grade.MARK) -> Observation:
    """A refund that is ours, as Mangopay shows it. The payer gets its CreditedFunds."""
    event = STATUSES.get(shown.status, Event.LOST)
    code = shown.result_code.strip() if shown.result_code and event is Event.REFUSED else None
    return Observation(
        event=event,
        grade=grade,
        amount=shown.credited_funds.amount,
        provider_id=shown.id,
        occurred_at=shown.changed_at,
        digest=f"{shown.id}:{shown.status}",
        failure=FAILURES.get(code or "", "declined") if event is Event.REFUSED else None,
        code=code,
        message=shown.result_message if event is Event.REFUSED else None,
        pending_reason="processing" if event is Event.ACCEPTED else None,
        data={"status": shown.status, "debited": shown.debited_funds.amount, "fees": shown.fees.amount},
    )
