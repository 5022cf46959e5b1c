"""Purchases: made, read, cancelled, captured, released, charged, marked as paid. How one is refunded: refunds.py."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from moneyback.core.commands import Sighting
from moneyback.core.payment import Condition, Payment
from moneyback.core.refund import Refund, State
from moneyback.core.refusals import Reason, Refusal
from moneyback.dialect import (
    AddPayment,
    Ask,
    Caller,
    Conversation,
    DropDocument,
    FindPayment,
    Incoming,
    Instant,
    LoadDocument,
    NewId,
    Outgoing,
    RefundsOf,
    ReleasePayment,
    SeePayment,
    release_of,
)
from moneyback.dialects.chip import document, events
from moneyback.dialects.chip.basket import Basket, read_basket
from moneyback.dialects.chip.clients import CLIENTS, read_client
from moneyback.dialects.chip.document import Kept, is_test
from moneyback.dialects.chip.fields import Form, Wrong, invalid, opened, refused
from moneyback.dialects.chip.hooks import MADE_BY, made_by
from moneyback.dialects.chip.methods import payable_by, read_whitelist
from moneyback.dialects.chip.mirror import mirrored
from moneyback.dialects.chip.objects import REDIRECTS, WAIT_S, Viewer, purchase, total
from moneyback.dialects.chip.paying import (
    TOKENS,
    attempted,
    can_be_paid,
    captured,
    given_up,
    noted,
    pay,
    stands,
    ways_to_pay,
)
from moneyback.dialects.chip.standing import PAYABLE, is_due_some_day
from moneyback.dialects.chip.telling import announce
from moneyback.dialects.chip.wire import ALL, Complaint, Status, Word, read_amount, too_large, unix

NOT_FOUND_COMPLAINT: Final = Complaint(ALL, Word.NOT_FOUND.value, "Not found.")
NOT_FOUND: Final = refused(NOT_FOUND_COMPLAINT, 404)
IN_FRONT: Final = "front"
"""The member of a caller's profile that is there where Moneyback stands in front of CHIP."""


def find(incoming: Incoming) -> Generator[Ask, Any, Payment | None]:
    """The Purchase of the path. Ids are lower-case UUIDs; some clients keep them in capitals."""
    found: Payment | None = yield FindPayment(incoming.arguments["id"].lower())
    return found


def shown(payment: Payment, incoming: Incoming, caller: Caller) -> Conversation:
    """200 and the Purchase as it stands."""
    refunds: tuple[Refund, ...] = yield RefundsOf(payment.id)
    now = (yield Instant()) if is_due_some_day(payment) else None
    return Outgoing(body=mirrored(payment, refunds, Viewer(caller=caller, base=incoming.base, now=now)))


def read_purchase(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /purchases/{id}/: the Purchase."""
    payment = yield from find(incoming)
    if payment is None:
        return NOT_FOUND
    return (yield from shown(payment, incoming, caller))


def resend_invoice(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /purchases/{id}/resend_invoice/: the Purchase. No mail leaves a sandbox."""
    return (yield from read_purchase(incoming, caller))


# --- making one ------------------------------------------------------------------------------------------------------


def create_purchase(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /purchases/: 201 and the Purchase, or 400 with every error at its place."""
    if not document.sees_tests(caller):
        return _out_of_reach("create")
    form, wrongs = opened(incoming.body)
    details = form.below("purchase", required=True)
    basket = read_basket(details) if details is not None else None
    given = form.below("client")
    client = read_client(given) if given is not None else None
    options = _options(form, caller)
    brand = form.uuid("brand_id", required=True)
    if wrongs or basket is None:
        return invalid(wrongs)
    if complaint := _at_odds(client, options, basket):
        return refused(complaint)
    if client is None:
        client = yield LoadDocument(CLIENTS, options["client_id"])
        if client is None:
            return invalid([Wrong(("client_id",), "does_not_exist", "Invalid pk - object does not exist.")])
    kept = Kept(
        brand_id=brand,
        reference=options.pop("reference"),
        client=client,
        details=_unasked(basket.details, client),
        options=options,
        **{MADE_BY: made_by(caller, incoming.base)},
    )
    payment: Payment = yield AddPayment(
        amount=basket.total, currency=basket.currency, status="processing", document=kept, metadata=basket.metadata
    )
    now = (yield Instant()) if is_due_some_day(payment) else None
    viewer = Viewer(caller=caller, base=incoming.base, now=now)
    return Outgoing(status=201, body=purchase(payment, (), viewer))


def _options(form: Form, caller: Caller) -> dict[str, Any]:
    """What a creation states beside client, products and brand."""
    ports = bool(caller.profile.get("callback_ports", True))  # CHIP itself refuses a callback that names a port
    return {
        "client_id": form.uuid("client_id"),
        "send_receipt": form.flag("send_receipt"),
        "skip_capture": form.flag("skip_capture"),
        "force_recurring": form.flag("force_recurring"),
        "reference": form.text("reference", 128),
        "issued": form.day("issued"),
        "due": form.moment("due"),
        "payment_method_whitelist": read_whitelist(form),
        **{name: form.url(name) for name in REDIRECTS},
        "success_callback": form.url("success_callback", ports=ports),
        "creator_agent": form.text("creator_agent", 32),
        "platform": form.text("platform", 32) or "api",
        "tags": form.words("tags"),
    }


def _at_odds(client: Mapping[str, Any] | None, options: Mapping[str, Any], basket: Basket) -> Complaint | None:
    """What is wrong with members that are each sound by themselves."""
    by_id = options["client_id"] is not None
    if client is None and not by_id:
        return Complaint(ALL, "purchase_client_or_id_required", "Either `client` or `client_id` must be specified.")
    if client is not None and by_id:
        return Complaint(ALL, "purchase_client_or_id_only", "Specify either `client` or `client_id`, not both.")
    if not basket.total and not options["skip_capture"]:
        sentence = "The total can be 0 only for a preauthorization, which needs `skip_capture` to be true."
        return Complaint(ALL, "purchase_zero_total", sentence)
    if not payable_by(basket.currency, options["payment_method_whitelist"], card_only=options["skip_capture"]):
        return Complaint(ALL, "no_payment_methods_available", "No payment method is available for this Purchase.")
    return None


def _unasked(details: Mapping[str, Any], client: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of the client need not be asked for again (provider docs: create a purchase page)."""
    asked = [each for each in details["request_client_details"] if not client.get(each)]
    return {**details, "request_client_details": asked}


def _out_of_reach(what: str) -> Outgoing:
    """Real money is moved by CHIP alone: to record it here without a word from CHIP would be a lie."""
    sentence = "This operation exists in the sandbox only: real money is moved by CHIP. Nothing was done."
    return refused(Complaint(ALL, f"purchase_{what}_error", sentence))


# --- actions ---------------------------------------------------------------------------------------------------------


def cancel_purchase(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /purchases/{id}/cancel/: it cannot be paid any more."""
    payment, refusal = yield from _reach(incoming, caller, Operation.CANCEL)
    if payment is None:
        return refusal
    now: datetime = yield Instant()
    payment = yield from given_up(payment, {document.CANCELLED: unix(now)})
    return (yield from shown(payment, incoming, caller))


def capture_purchase(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /purchases/{id}/capture/: all of what is held, or a part; the rest goes back to the payer."""
    amount = read_amount(incoming.body)
    payment, refusal = yield from _reach(incoming, caller, Operation.CAPTURE, amount)
    if payment is None:
        return refusal
    stated = payment.authorized if amount is None or isinstance(amount, Complaint) else amount
    if stated > payment.authorized:
        return refused(too_large(payment.authorized))
    attempt = yield from _again(payment, "capture")
    payment = yield from captured(payment, stated, {document.CAPTURED: attempt}, attempt["id"])
    return (yield from shown(payment, incoming, caller))


def release_purchase(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /purchases/{id}/release/: what is held goes back to the payer; nothing had come in."""
    payment, refusal = yield from _reach(incoming, caller, Operation.RELEASE)
    if payment is None:
        return refusal
    if payment.condition is Condition.AUTHORIZED:
        return (yield from _let_go(payment, incoming, caller))
    attempt = yield from _again(payment, "release")
    payment = yield from given_up(payment, {document.RELEASED: attempt})
    return (yield from shown(payment, incoming, caller))


def _let_go(payment: Payment, incoming: Incoming, caller: Caller) -> Conversation:
    """An authorisation that came in with its payment is let go by the engine, which may take its time."""
    fresh = yield NewId()
    released: Payment | Refusal = yield ReleasePayment(payment=payment, dialect_id=str(fresh), seconds=WAIT_S)
    if isinstance(released, Refusal):
        if released.first.reason is Reason.KIND_UNSUPPORTED:
            return _out_of_reach("release")
        return refused(_wrong_status(Operation.RELEASE))
    release = release_of(released)
    if release is not None and release.state in (State.FAILED, State.CANCELED):
        return refused(Complaint(ALL, "purchase_release_error", release.message or "The release failed."))
    return (yield from shown(released, incoming, caller))


def charge_purchase(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /purchases/{id}/charge/: paid with the card that another Purchase has saved."""
    payment = yield from find(incoming)
    if payment is None:
        return NOT_FOUND
    form, wrongs = opened(incoming.body)
    if wrongs:
        return invalid(wrongs)
    saved = yield from _saved_with(form.given("recurring_token"))
    if saved is None:  # looked at before the status, as CHIP's sandbox does
        return refused(Complaint(ALL, "invalid_recurring_token", "Invalid or inactive recurring token!"))
    if not is_test(payment):
        return _out_of_reach("charge")
    if not (yield from can_be_paid(payment)):
        return refused(_wrong_status(Operation.CHARGE))
    attempt = yield from _charged(payment, saved)
    payment = yield from pay(payment, attempt, token=saved.dialect_id)
    if attempt["error"] is not None:
        return refused(Complaint(ALL, "purchase_charge_error", attempt["error"]["message"]))
    return (yield from shown(payment, incoming, caller))


def _saved_with(token: Any) -> Generator[Ask, Any, Payment | None]:
    """The Purchase whose id is a token that counts."""
    if not isinstance(token, str):
        return None
    found: Payment | None = yield FindPayment(token.lower())
    return found if found is not None and found.document.get(document.TOKEN) else None


def _charged(payment: Payment, saved: Payment) -> Generator[Ask, Any, dict[str, Any]]:
    by = document.paying(saved)
    assert by is not None, "a card is saved by paying with it"
    now: datetime = yield Instant()
    error = None
    if by["payment_method"] not in ways_to_pay(payment):
        error = ("unknown_payment_method", "This Purchase cannot be paid with the saved card.")
    elif (by["extra"]["expiry_year"], by["extra"]["expiry_month"]) < (now.year, now.month):
        error = ("expired_card", "The saved card has expired.")
    return (
        yield from attempted(
            "recurring_execute",
            by["payment_method"],
            "api",
            extra=by["extra"],
            country=by["country"],
            error=error,
        )
    )


def mark_as_paid(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /purchases/{id}/mark_as_paid/: it was paid in some other way."""
    payment, refusal = yield from _reach(incoming, caller, Operation.MARK)
    if payment is None:
        return refusal
    form, wrongs = opened(incoming.body)
    paid_on, now = form.moment("paid_on"), (yield Instant())
    if paid_on is not None and paid_on > unix(now):
        form.wrong("paid_on", "max_value", f"Ensure this value is less than or equal to {unix(now)}.")
    if wrongs:
        return invalid(wrongs)
    at = now if paid_on is None else document.moment_of(paid_on)
    seen = Sighting(kind="captured", amount=total(payment), reference=payment.dialect_id, occurred_at=at)
    payment = yield SeePayment(payment=payment, sighting=seen, document={document.MARKED: unix(now)})
    return (yield from shown(payment, incoming, caller))


def delete_recurring_token(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /purchases/{id}/delete_recurring_token/: its card cannot be charged any more."""
    payment = yield from find(incoming)
    if payment is None:
        return NOT_FOUND
    yield DropDocument(TOKENS, payment.dialect_id)
    if payment.document.get(document.TOKEN):
        payment = yield from noted(payment, {document.TOKEN: False})
        yield from announce(events.TOKEN_DELETED, payment, str(payment.id), (yield RefundsOf(payment.id)))
    return (yield from shown(payment, incoming, caller))


# --- whether an action is possible -----------------------------------------------------------------------------------


class _Rule(NamedTuple):
    """An action's word in CHIP's error codes, and the statuses it needs."""

    word: str
    needs: tuple[Status, ...]
    done: str


class Operation:
    """The actions that need a certain status."""

    CANCEL: Final = _Rule("cancel", PAYABLE, "cancelled")
    CAPTURE: Final = _Rule("capture", (Status.HOLD,), "captured")
    RELEASE: Final = _Rule("release", (Status.HOLD,), "released")
    CHARGE: Final = _Rule("charge", PAYABLE, "charged")
    MARK: Final = _Rule("mark_as_paid", PAYABLE, "marked as paid")


def _reach(
    incoming: Incoming, caller: Caller, rule: _Rule, amount: int | Complaint | None = None
) -> Generator[Ask, Any, tuple[Payment | None, Outgoing]]:
    """The Purchase of the path if this can be done with it, else the refusal.

    In front of CHIP it is CHIP that says so, as long as nothing has come in that could be given back.
    """
    payment = yield from find(incoming)
    if payment is None:
        return None, NOT_FOUND
    if isinstance(amount, Complaint):
        return None, refused(amount)
    if caller.profile.get(IN_FRONT) and not payment.captured:
        return payment, NOT_FOUND
    if (yield from stands(payment)) not in rule.needs:
        return None, refused(_wrong_status(rule))
    if not is_test(payment) and rule is not Operation.RELEASE:
        return None, _out_of_reach(rule.word)
    return payment, NOT_FOUND


def _wrong_status(rule: _Rule) -> Complaint:
    """In the form recorded of a capture: it names the status that is needed."""
    needs = f"status == {rule.needs[0]}" if len(rule.needs) == 1 else f"status in ({', '.join(rule.needs)})"
    return Complaint(ALL, f"purchase_{rule.word}_wrong_status", f"Only Purchases with `{needs}` can be {rule.done}.")


def _again(payment: Payment, kind: str) -> Generator[Ask, Any, dict[str, Any]]:
    """Another step with the means by which the money was put on hold."""
    by = document.paying(payment)
    means = by or {"payment_method": payment.method or "", "extra": {}, "country": ""}
    return (
        yield from attempted(
            kind, means["payment_method"], "api", extra=means["extra"], country=means["country"] or "MY"
        )
    )
