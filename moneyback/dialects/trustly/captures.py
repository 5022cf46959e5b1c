"""What a bank authorisation leads to: captures, preauthorisations of captures, and deposits to the consumer.

Each is a record and a payment of its own. Together they stay within the authorised amount, unless that is zero, which
means that there is no bound (provider docs: Establish, amount).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from moneyback.core.commands import Sighting
from moneyback.core.money import BadAmount
from moneyback.core.payment import Condition, Payment, PaymentKind
from moneyback.dialect import (
    AddPayment,
    Ask,
    Caller,
    Conversation,
    FindPayment,
    Incoming,
    Instant,
    LoadDocument,
    Outgoing,
    Route,
    SaveDocument,
    SeePayment,
)
from moneyback.dialects.trustly.objects import answer
from moneyback.dialects.trustly.records import (
    original_record,
    original_status,
    original_type,
    payment_facts,
    payment_reference_of_all,
    payment_type,
    root_of,
)
from moneyback.dialects.trustly.schemas import CAPTURE_REQUEST, DEPOSIT_REQUEST, PREAUTHORIZE_REQUEST, TRANSACTION
from moneyback.dialects.trustly.server import (
    ACCEPTS,
    BadParameter,
    Code,
    amount_in_body,
    in_words,
    invalid,
    parameters,
    problem,
    reference_in,
    text_in,
    unknown,
)
from moneyback.dialects.trustly.standing import COMPLETES_AFTER, children_of, family_of, order_of, refund_named, stand
from moneyback.dialects.trustly.transactions import token_refused
from moneyback.dialects.trustly.wire import PaymentType, Status, Type, amount_in, minimum

PERIOD_MAX: Final = 6
"""Hours for which a preauthorisation may hold (provider docs: Preauthorize)."""
REFERENCES: Final = "reference"
"""The documents that say which references were used, kept for credentials whose profile has `unique_references`."""

_UNDONE: Final = (Status.FAILED, Status.EXPIRED, Status.CANCELED, Status.DENIED, Status.VOIDED)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What one of the three calls makes, and of what."""

    makes: Type
    of: tuple[Type, ...]
    of_payments: tuple[PaymentType, ...]
    method: str  # what the engine's payment is called
    done: str


CAPTURE: Final = Call(
    makes=Type.CAPTURE,
    of=(Type.AUTHORIZE, Type.PREAUTHORIZATION),
    of_payments=(PaymentType.DEFERRED, PaymentType.RECURRING),
    method="capture",
    done="captured",
)
PREAUTHORIZATION: Final = Call(
    makes=Type.PREAUTHORIZATION,
    of=(Type.AUTHORIZE,),
    of_payments=(PaymentType.DEFERRED, PaymentType.RECURRING),
    method="preauthorization",
    done="preauthorized",
)
DEPOSIT: Final = Call(
    makes=Type.DEPOSIT,
    of=(Type.AUTHORIZE,),
    of_payments=(PaymentType.DEFERRED, PaymentType.DISBURSEMENT),
    method="deposit",
    done="used for a deposit",
)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says, its shape checked. `amount` None: the most that is allowed."""

    reference: str
    amount: str | int | Decimal | None
    token: str | None
    hours: int | None = None


# --- the three calls -------------------------------------------------------------------------------------------------


def capture_transaction(incoming: Incoming, caller: Caller) -> Conversation:
    """Collect an amount from the consumer's bank account. It is pending until the sandbox's next batch."""
    return (yield from _make(CAPTURE, incoming, caller))


def preauthorize_transaction(incoming: Incoming, caller: Caller) -> Conversation:
    """Check the funds for captures within some hours."""
    return (yield from _make(PREAUTHORIZATION, incoming, caller))


def deposit_transaction(incoming: Incoming, caller: Caller) -> Conversation:
    """Pay an amount out to the consumer's bank account. It is pending until the sandbox's next batch."""
    return (yield from _make(DEPOSIT, incoming, caller))


def _make(call: Call, incoming: Incoming, caller: Caller) -> Conversation:
    number = incoming.arguments["transactionId"]
    try:
        wanted = parse(call, incoming.body)
    except BadParameter as bad:
        return invalid(str(bad))
    parent: Payment | None = yield FindPayment(number)
    if parent is None:
        refund = yield from refund_named(number)
        return unknown(number) if refund is None else invalid(_of_wrong_type(call, Type.REFUND))
    parent = yield from stand(parent)
    if (refused := _not_usable(call, parent) or token_refused(wanted.token)) is not None:
        return refused
    root = parent
    if root_of(parent) != parent.dialect_id:
        root = (yield FindPayment(root_of(parent))) or parent
    try:
        amount = yield from _amount(call, wanted, parent, root)
    except BadAmount as bad_amount:
        return invalid(in_words(bad_amount))
    except BadParameter as bad:
        return invalid(str(bad))
    if (yield from is_used(wanted.reference, caller)):
        return problem(Code.DUPLICATE_REQUEST, "The request repeats another one and is ignored")
    return (yield from _made(call, wanted, amount, parent, root, caller))


def _made(call: Call, wanted: Wanted, amount: int, parent: Payment, root: Payment, caller: Caller) -> Conversation:
    now: datetime = yield Instant()
    payment: Payment = yield AddPayment(
        amount=amount,
        currency=root.currency,
        status=Condition.AUTHORIZED.value,
        method=call.method,
        order=order_of(call.makes, root.dialect_id),
        kind=PaymentKind.TRANSFER if call.makes is Type.DEPOSIT else PaymentKind.PAYIN,
        wallet=f"consumer-{root.dialect_id}" if call.makes is Type.DEPOSIT else None,
        document=document(call, wanted, parent, root, now),
    )
    if (yield from _is_too_much(call, parent, root)):
        # Another call was quicker than ours: whoever sees the other one withdraws.
        withdrawn = Sighting(kind="failed", amount=0, reference=payment.dialect_id)
        yield SeePayment(payment=payment, sighting=withdrawn, document={"failureStatus": str(Status.DENIED.value)})
        return invalid(_too_much(call))
    family = yield from family_of(payment)
    return Outgoing(body=answer(original_record(payment), family, caller))


def document(call: Call, wanted: Wanted, parent: Payment, root: Payment, now: datetime) -> Mapping[str, Any]:
    """What the new record remembers, beneath which authorisation it is made included."""
    kept: dict[str, Any] = {
        "transactionType": str(call.makes.value),
        "merchantReference": wanted.reference,
        "originalTransactionId": parent.dialect_id,
        "authorization": root.dialect_id,
        "payment": {
            **payment_facts(root),
            "merchantReference": payment_reference_of_all(root),
            "paymentType": str(payment_type(root).value),
        },
        "preAuthorized": Type.PREAUTHORIZATION in (original_type(parent), call.makes),
    }
    for name in ("ip", "notificationUrl"):
        if name in root.document:
            kept[name] = root.document[name]
    if wanted.hours is not None:
        kept["expiresAt"] = (now + timedelta(hours=wanted.hours)).isoformat()
    else:
        kept["completesAt"] = (now + COMPLETES_AFTER).isoformat()
    return kept


# --- whether it may be -----------------------------------------------------------------------------------------------


def _not_usable(call: Call, parent: Payment) -> Outgoing | None:
    kind, pays = original_type(parent), payment_type(parent)
    if kind not in call.of:
        return invalid(_of_wrong_type(call, kind))
    if pays not in call.of_payments:
        return invalid(f"A payment of type {pays.value} cannot be {call.done}")
    status = original_status(parent)
    if status is not Status.AUTHORIZED and not (kind is Type.PREAUTHORIZATION and status is Status.EXPIRED):
        return invalid(f"The status of the transaction is {status.message}: it cannot be {call.done}")
    return None


def _of_wrong_type(call: Call, kind: Type) -> str:
    return f"Transaction type {kind.value} cannot be {call.done}"


def _amount(call: Call, wanted: Wanted, parent: Payment, root: Payment) -> Generator[Ask, Any, int]:
    """The amount asked for, or the most that is allowed. Raises BadAmount and BadParameter."""
    room = yield from _room(call, parent, root)
    if wanted.amount is None and room is None:
        raise BadParameter("Parameter amount is required")
    amount = room if wanted.amount is None else amount_in(wanted.amount, root.currency)
    assert amount is not None
    if room is not None and not room:
        raise BadParameter(f"Nothing of the authorized amount is left to be {call.done}")
    if amount < minimum(root.currency):
        raise BadParameter("The amount is lower than the minimum allowed")
    if room is not None and amount > room:
        raise BadParameter(_too_much(call))
    return amount


def _too_much(call: Call) -> str:
    return f"The amount is greater than what is left to be {call.done}"


def _room(call: Call, parent: Payment, root: Payment) -> Generator[Ask, Any, int | None]:
    """How much may still be made of an authorisation; None where there is no bound."""
    bounds = [each for each in dict.fromkeys((parent.authorized, root.authorized)) if each]
    if not bounds:
        return None
    if call.makes is Type.PREAUTHORIZATION:  # moves nothing, so several of them may each have it all
        return min(bounds)
    made = yield from _standing(call, root)
    rooms = [root.authorized - sum(each.authorized for each in made)] if root.authorized else []
    if parent.id != root.id and original_status(parent) is not Status.EXPIRED:
        of_it = (each for each in made if each.document.get("originalTransactionId") == parent.dialect_id)
        rooms.append(parent.authorized - sum(each.authorized for each in of_it))
    return max(0, min(rooms)) if rooms else None


def _is_too_much(call: Call, parent: Payment, root: Payment) -> Generator[Ask, Any, bool]:
    if call.makes is Type.PREAUTHORIZATION or not (root.authorized or parent.authorized):
        return False
    made = yield from _standing(call, root)
    of_it = (each for each in made if each.document.get("originalTransactionId") == parent.dialect_id)
    over_root = bool(root.authorized) and sum(each.authorized for each in made) > root.authorized
    bound = parent.id != root.id and original_status(parent) is not Status.EXPIRED
    return over_root or (bound and sum(each.authorized for each in of_it) > parent.authorized)


def _standing(call: Call, root: Payment) -> Generator[Ask, Any, list[Payment]]:
    """What was made of an authorisation and has not failed. A refund makes no room for another capture."""
    made = yield from children_of(root, call.makes)
    return [each for each in made if original_status(each) not in _UNDONE]


def is_used(reference: str, caller: Caller) -> Generator[Ask, Any, bool]:
    """Whether a reference was used before, for a credential that wants them unique (provider docs: Idempotency)."""
    if not caller.profile.get("unique_references"):
        return False
    if (yield LoadDocument(REFERENCES, reference)) is not None:
        return True
    yield SaveDocument(REFERENCES, reference, {"merchantReference": reference})
    return False


# --- what arrives ----------------------------------------------------------------------------------------------------


def parse(call: Call, body: object) -> Wanted:
    """The parameters of one of the three calls. Raises BadParameter.

    The beneficiary of a money transfer is not kept. A split token may be missing, and so may the amount, though the
    schemas require both (provider docs: Capture transaction).
    """
    said = parameters(body)
    reference = reference_in(said, required=True)
    assert reference is not None
    hours = hours_in(said) if call.makes is Type.PREAUTHORIZATION else None
    _check_switch(said, "instantPayoutRequest")
    return Wanted(reference=reference, amount=amount_in_body(said), token=text_in(said, "splitToken"), hours=hours)


def hours_in(body: Mapping[str, Any]) -> int:
    """The `period` of a preauthorisation in hours. Raises BadParameter."""
    text = text_in(body, "period")
    if text is None:
        raise BadParameter("Parameter period is required")
    if not (text.isascii() and text.isdecimal() and len(text) == 1 and 1 <= int(text) <= PERIOD_MAX):
        raise BadParameter(f"Parameter period must be a number of hours from 1 to {PERIOD_MAX}")
    return int(text)


def _check_switch(body: Mapping[str, Any], name: str) -> None:
    value = body.get(name)
    if value is not None and not isinstance(value, bool) and value not in ("true", "false", ""):
        raise BadParameter(f"Parameter {name} must be true or false")


ROUTES: Final = (
    Route(
        method="POST",
        path="/api/v1/transactions/{transactionId}/capture",
        handle=capture_transaction,
        kind="relayed",
        accepts=ACCEPTS,
        summary="Capture an amount of an authorization or preauthorization",
        request_schema=CAPTURE_REQUEST,
        response_schema=TRANSACTION,
    ),
    Route(
        method="POST",
        path="/api/v1/transactions/{transactionId}/capture/preAuth",
        handle=preauthorize_transaction,
        kind="relayed",
        accepts=ACCEPTS,
        summary="Preauthorize captures of an authorization for some hours",
        request_schema=PREAUTHORIZE_REQUEST,
        response_schema=TRANSACTION,
    ),
    Route(
        method="POST",
        path="/api/v1/transactions/{transactionId}/deposit",
        handle=deposit_transaction,
        kind="relayed",
        accepts=ACCEPTS,
        summary="Deposit an amount to the consumer of an authorization",
        request_schema=DEPOSIT_REQUEST,
        response_schema=TRANSACTION,
    ),
)
