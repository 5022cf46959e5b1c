"""CHIP as we call it: refunds of Purchases, and what each of its documented answers means to the engine.

Conversations only; the network and the credentials are not here. CHIP takes no mark of ours and shows no refund by
itself. After a lost answer only the Purchase can be read: what is left of it, the Payments its history names, and its
attempts. Behind the fence, a change by exactly our amount is evidence, and so is the one failed attempt that came to
those that were there before; anything else is a figure for a person.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from moneyback.core.commands import Observation, Sighting
from moneyback.core.payment import Capabilities, Payment
from moneyback.core.refund import Event, Grade
from moneyback.dialect import (
    AnswerLost,
    Call,
    Client,
    Figures,
    Looked,
    Looking,
    NotConnected,
    Reading,
    Reply,
    Sending,
    Sent,
)
from moneyback.dialects.chip import standing
from moneyback.dialects.chip.document import is_uuid
from moneyback.dialects.chip.fetching import fetch
from moneyback.dialects.chip.news import KEYS, hear
from moneyback.dialects.chip.received import (
    Attempt,
    Purchase,
    RefundPayment,
    answered,
    moment,
    problems,
    purchase,
)
from moneyback.dialects.chip.releasing import release
from moneyback.dialects.chip.wire import (
    ATTEMPT_CODES,
    NEVER_PAID_STATUSES,
    REFUNDABLE_STATUSES,
    Availability,
    Status,
    Word,
    purchase_path,
)

PROCESSING: Final = timedelta(minutes=15)
LIST_LAG: Final = timedelta(minutes=5)
"""How long CHIP may work on a call, and its Purchase be behind. It publishes neither figure."""
CLOCKS_APART: Final = timedelta(minutes=5)
"""How far CHIP's clock and ours may differ before an attempt is taken for an older one that was shown late."""

# --- what answers mean -----------------------------------------------------------------------------------------------

ANSWERS: Final[Mapping[tuple[int, str | None], Event]] = MappingProxyType(
    {
        (200, "payment"): Event.EXECUTED,
        (200, "purchase"): Event.ACCEPTED,  # in pending_refund; one in `refunded` was executed
        (400, Word.WRONG_STATUS.value): Event.REFUSED,
        (400, Word.NOT_POSSIBLE.value): Event.REFUSED,
        (400, Word.MAX_VALUE.value): Event.REFUSED,
        (400, Word.MIN_VALUE.value): Event.REFUSED,
        (400, "invalid"): Event.REFUSED,
        (400, "parse_error"): Event.REFUSED,
        (400, Word.PROCESSING.value): Event.LOST,  # until the attempt it left behind says why: ATTEMPTS
        (401, None): Event.NOT_TAKEN,
        (403, None): Event.NOT_TAKEN,
        (404, Word.NOT_FOUND.value): Event.REFUSED,  # no such Purchase
        (405, None): Event.NOT_TAKEN,
        (422, None): Event.REFUSED,
        (429, None): Event.NOT_TAKEN,
        (409, None): Event.LOST,
    }
)
"""Every documented answer to a refund, by HTTP status and `type` or error code, None for whatever code (provider docs:
refund page, errors page; the sandbox). Only an answer in CHIP's own shape counts; all that is not here is LOST."""

NOT_KNOWN: Final = frozenset(
    {
        "timeout",
        "timeout_3ds_enrollment_check",
        "timeout_acquirer_status_check",
        "merchant_response_timeout",
        "acquirer_connection_error",
        "acquirer_internal_error",
        "issuer_not_available",
        "reconcile_error",
    }
)
"""Codes of a failed attempt that say only that somebody did not answer: the acquirer may have refunded all the same."""

ATTEMPTS: Final[Mapping[str, Event]] = MappingProxyType(
    {code: Event.LOST if code in NOT_KNOWN else Event.REFUSED for code in sorted(ATTEMPT_CODES)}
)
"""What the code of a failed refund attempt means (provider docs: create a purchase page). Any other code: LOST."""

_DONE: Final = (None, "success", "refunded")
"""`status` of a refund's Payment: undocumented, "success" in the sandbox; shop plugins take "refunded" for it too."""

_FAILURES: Final[Mapping[str, str]] = MappingProxyType(
    {
        Word.NOT_POSSIBLE.value: "unsupported",
        "partial_forbidden": "unsupported",
        "transaction_not_supported_or_not_valid_for_card": "unsupported",
        "insufficient_funds": "funds",
        "exceeded_acquirer_refund_amount": "invalid",
        "invalid_amount": "invalid",
    }
)
_PAID: Final = (*REFUNDABLE_STATUSES, Status.PENDING_REFUND.value)


def meaning(reply: Reply) -> Event:
    """What an error answer means; several errors must agree, and LOST is all that is not documented."""
    said = {_meaning_of(reply.status, each.code) for each in problems(reply.body)}
    return said.pop() if len(said) == 1 else Event.LOST


def _meaning_of(status: int, code: str) -> Event:
    return ANSWERS.get((status, code)) or ANSWERS.get((status, None), Event.LOST)


# --- sending ---------------------------------------------------------------------------------------------------------


def send(sending: Sending) -> Sent:
    """One call; what came of it, as one observation. A processing error is explained by the Purchase, read after it."""
    try:
        reply = yield refund_call(sending)
    except NotConnected:
        return (_of_attempt(sending, Event.SEND_FAILED),)
    except AnswerLost:
        return (_of_attempt(sending, Event.LOST),)
    if reply.status == 400 and {each.code for each in problems(reply.body)} == {Word.PROCESSING.value}:
        return ((yield from _processing_error(sending, reply)),)
    return (_answered(sending, reply),)


def refund_call(sending: Sending) -> Call:
    """The amount is always stated: left out, it would mean whatever remains by then.

    CHIP's errors page promises that the key makes a repeated refund safe. Nothing here relies on it.
    """
    return Call(
        method="POST",
        path=f"{purchase_path(sending.payment.reference)}refund/",
        headers={
            "content-type": "application/json",
            "accept": "application/json",
            "idempotency-key": sending.key,
        },
        body=msgspec.json.encode({"amount": sending.refund.payer}),
    )


def _answered(sending: Sending, reply: Reply) -> Observation:
    shown = answered(reply.body) if reply.status == 200 else None
    match shown:
        case RefundPayment() if _is_refund_of(sending.payment, shown):
            return _executed(shown.id, shown.payment.amount, shown.updated_on or shown.created_on)
        case Purchase() if _is_of(sending.payment, shown) and shown.status == Status.PENDING_REFUND:
            return _of_attempt(sending, Event.ACCEPTED, pending_reason="processing", data={"status": shown.status})
        case Purchase() if _is_of(sending.payment, shown) and shown.status == Status.REFUNDED:
            return _of_attempt(sending, Event.EXECUTED, data={"status": shown.status})  # done, and no id is told
        case _:
            return _refused(sending, reply)


def _refused(sending: Sending, reply: Reply) -> Observation:
    event, found = meaning(reply), problems(reply.body)
    code, message = (found[0].code, found[0].message) if found else (None, None)
    return _of_attempt(
        sending,
        event,
        failure=_FAILURES.get(code or "", "invalid") if event is Event.REFUSED else None,
        code=code or None,
        message=message or None,
        data={"status": reply.status, "codes": [each.code for each in found]},
    )


def _processing_error(sending: Sending, reply: Reply) -> Generator[Call, Reply, Observation]:
    """Why it failed, by the attempt it left on the Purchase, beside those that were there before.

    The refund call itself was taken: whatever keeps the reason from us, a second call that was never sent included,
    leaves the outcome unknown.
    """
    unknown = _of_attempt(sending, Event.LOST, code=Word.PROCESSING.value, data={"status": reply.status})
    try:
        shown = yield from _ask_purchase(sending.payment)
    except (NotConnected, AnswerLost):
        return unknown
    return _by_attempt(sending, sending.pre_read, shown) or unknown


def _failed(sending: Sending, attempt: Attempt) -> Observation | None:
    """A refund attempt that CHIP says failed, for a reason that leaves no doubt; None for any other."""
    if attempt.successful or attempt.error is None:
        return None
    code = attempt.error.code
    if ATTEMPTS.get(code) is not Event.REFUSED:
        return None
    failure, words = _FAILURES.get(code, "declined"), attempt.error.message or None
    return _of_attempt(sending, Event.REFUSED, grade=Grade.COUNTER, failure=failure, code=code, message=words)


def _is_recent(sending: Sending, attempt: Attempt) -> bool:
    """Whether it may be of this refund, by its time. That alone makes it no refund's: others have failed since."""
    at = moment(attempt.processing_time)
    return at is not None and at >= sending.refund.created_at - CLOCKS_APART


def _of_attempt(sending: Sending, event: Event, **members: Any) -> Observation:
    """Something that is known of this attempt only; an attempt is sent once, so its mark and the event identify it."""
    return Observation(event=event, digest=f"{sending.mark}:{event.value}", **members)


def _executed(number: str, amount: int, at: int | None, grade: Grade = Grade.MARK) -> Observation:
    """A refund that was made, by the id of its Payment."""
    return Observation(
        event=Event.EXECUTED,
        grade=grade,
        amount=amount,
        provider_id=number,
        occurred_at=moment(at),
        digest=f"{number}:success",
    )


def _is_refund_of(payment: Payment, shown: RefundPayment) -> bool:
    refunds = shown.payment.payment_type in (None, "refund") and shown.status in _DONE
    of_it = shown.related_to is None or shown.related_to.id == payment.reference
    return refunds and of_it and shown.payment.currency == payment.currency


def _is_of(payment: Payment, shown: Purchase) -> bool:
    return shown.id == payment.reference and shown.purchase.currency == payment.currency


# --- reading before sending ------------------------------------------------------------------------------------------


def read(payment: Payment) -> Reading:
    """What is left of the Purchase, the refunds its history names, and the attempts to refund that are there already.

    Raises AnswerLost when CHIP does not show it.

    Where its status or its availability allows no refund at all, nothing is left: its figure is not asked then.
    """
    shown = yield from _ask_purchase(payment)
    possible = shown.status in REFUNDABLE_STATUSES and shown.refund_availability != Availability.NONE
    return Figures(
        left=shown.refundable_amount if possible else 0,
        refund_ids=tuple(shown.refunds),
        seen=tuple(each.fingerprint for each in shown.refund_attempts),
        sightings=tuple(_sightings(payment, shown)),
    )


def _ask_purchase(payment: Payment) -> Generator[Call, Reply, Purchase]:
    reply = yield Call(method="GET", path=purchase_path(payment.reference), headers={"accept": "application/json"})
    shown = purchase(reply.body) if reply.status == 200 else None
    if shown is None or shown.id != payment.reference:
        raise AnswerLost("CHIP did not show the Purchase")
    if shown.purchase.currency != payment.currency:
        raise AnswerLost(f"CHIP shows the Purchase in {shown.purchase.currency}")
    return shown


def _sightings(payment: Payment, shown: Purchase) -> Iterator[Sighting]:
    """What the Purchase tells of its payment. It does not tell our refunds from others: the sum is compared instead."""
    at, paid = moment(shown.updated_on), shown.payment
    if paid is not None and paid.currency != payment.currency:
        paid = None  # converted: what was paid in another currency is not this payment's figure
    if paid is not None and paid.amount and shown.status in _PAID:
        yield Sighting(kind="captured", amount=paid.amount, reference=shown.id, occurred_at=moment(paid.paid_on))
    if shown.status in NEVER_PAID_STATUSES:
        yield Sighting(kind="canceled", amount=0, reference=shown.id, occurred_at=at)
    dispute = f"{shown.id}:chargeback"
    if shown.status == Status.CHARGEBACK:
        # CHIP names no amount: the payer's bank contests the whole payment, and may still lose.
        contested = payment.captured if paid is None else paid.amount
        yield Sighting(kind="dispute_open", amount=contested, reference=dispute, occurred_at=at)
    elif payment.disputed and shown.status in _PAID:
        yield Sighting(kind="dispute_won", amount=0, reference=dispute, occurred_at=at)


# --- looking ---------------------------------------------------------------------------------------------------------


def look(sending: Sending, pre_read: Mapping[str, Any]) -> Looking:
    """What became of a refund, told from how its Purchase changed since it was read before sending."""
    try:
        shown = yield from _ask_purchase(sending.payment)
    except (NotConnected, AnswerLost) as error:
        return Looked(shown={"unanswered": f"{error}" or type(error).__name__})
    found = _by_counter(sending, pre_read, shown)
    return Looked(
        observations=() if found is None else (found,),
        sightings=tuple(_sightings(sending.payment, shown)),
        shown=_compared(pre_read, shown),
    )


def _by_counter(sending: Sending, pre_read: Mapping[str, Any], shown: Purchase) -> Observation | None:
    """Behind the fence: one new refund and exactly our amount gone; on its way; or one new attempt, which failed."""
    left_before, new = pre_read.get("left"), _new(pre_read, shown)
    if left_before is None or new is None:
        return None
    amount, fell = sending.refund.payer, left_before - shown.refundable_amount
    if shown.status == Status.REFUNDED and len(new) == 1 and fell == amount:
        return _executed(new[0], amount, shown.refunds[new[0]], Grade.COUNTER)
    if new:
        return None
    if shown.status == Status.PENDING_REFUND and fell in (0, amount):
        # Whether a refund on its way is already subtracted is not documented.
        return _of_attempt(sending, Event.ACCEPTED, grade=Grade.COUNTER, pending_reason="processing")
    return _by_attempt(sending, pre_read, shown)


def _by_attempt(sending: Sending, pre_read: Mapping[str, Any], shown: Purchase) -> Observation | None:
    """Behind the fence: exactly one attempt came to those that were there before, it failed, and nothing was moved."""
    moved = _new(pre_read, shown) != [] or pre_read.get("left") != shown.refundable_amount
    attempts = _new_attempts(pre_read, shown)
    if moved or shown.status not in REFUNDABLE_STATUSES or attempts is None or len(attempts) != 1:
        return None
    return _failed(sending, attempts[0]) if _is_recent(sending, attempts[0]) else None


def _new(pre_read: Mapping[str, Any], shown: Purchase) -> list[str] | None:
    """The refunds that were not there before this attempt; None when it is not known what was."""
    before = pre_read.get("refund_ids")
    return None if before is None else [each for each in shown.refunds if each not in before]


def _new_attempts(pre_read: Mapping[str, Any], shown: Purchase) -> tuple[Attempt, ...] | None:
    """The attempts that were not there before this one of ours; None when that cannot be told.

    The newest is first, so those from before are the last ones, unchanged. One that is missing, that is shown otherwise
    or that came late among them leaves open which one is new.
    """
    before, now = pre_read.get("seen"), shown.refund_attempts
    if before is None or len(before) > len(now):
        return None
    count = len(now) - len(before)
    same = [each.fingerprint for each in now[count:]] == list(before)
    return now[:count] if same else None


def _compared(pre_read: Mapping[str, Any], shown: Purchase) -> dict[str, Any]:
    """Before and now, side by side: figures for a person, evidence of nothing."""
    attempts, new = shown.refund_attempts, _new_attempts(pre_read, shown)
    return {
        "status": shown.status,
        "left": shown.refundable_amount,
        "left_before": pre_read.get("left"),
        "refunds": len(shown.refunds),
        "new_refunds": _new(pre_read, shown) or [],
        "attempts": len(attempts),
        "new_attempts": [
            {"successful": each.successful, "code": each.error.code if each.error is not None else None}
            for each in (attempts if new is None else new)
        ],
    }


# --- the declaration -------------------------------------------------------------------------------------------------


def capabilities(payment: Payment) -> Capabilities:
    """What CHIP allows of a payment, as far as it is known here; nothing while the payer's bank is asking.

    Its one refund at a time is the fence: on the way out, the next one waits and is not refused.
    """
    known = payment.dialect == "chip"
    can = standing.capabilities(payment) if known else standing.CAPABILITIES[Availability.ALL]
    return replace(can, one_at_a_time=False)


def authorize(credentials: Mapping[str, str], call: Call) -> Call:
    """The secret key as a bearer token (provider docs: authentication page)."""
    return replace(call, headers={**call.headers, "authorization": f"Bearer {credentials['secret_key']}"})


def profile(_credentials: Mapping[str, str], account: str) -> Mapping[str, Any]:
    """What our server half prints of a caller with these credentials: the account, where it is a brand's id."""
    return {"brand_id": account} if is_uuid(account) else {}


CLIENT: Final = Client(
    send=send,
    read=read,
    look=look,
    rung=1,
    processing=PROCESSING,
    list_lag=LIST_LAG,
    capabilities=capabilities,
    credentials=("secret_key",),
    authorize=authorize,
    optional=KEYS,
    release=release,
    fetch=fetch,
    profile=profile,
    hear=hear,
)
