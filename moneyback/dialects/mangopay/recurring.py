"""Recurring pay-ins: an agreement once, then pay-ins that refer to it; by a registered card, or by PayPal.

A card pays each of them at once. PayPal's customer confirms on a page until one has come in, and is not asked again.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

import msgspec

from moneyback.core.payment import Condition, Payment
from moneyback.dialect import Ask, Caller, Incoming, ListDocuments, LoadDocument, NextNumber, Outgoing, SaveDocument
from moneyback.dialects.mangopay import (
    calls,
    cards,
    complaints,
    journal,
    pages,
    payins,
    redirects,
    schemas,
    statements,
    users,
    wallets,
    webmembers,
)
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.members import Members
from moneyback.dialects.mangopay.statements import Made, Payin
from moneyback.dialects.mangopay.transactions import payin_object
from moneyback.dialects.mangopay.wire import money

KIND: Final = "recurring"
ORDER: Final = "recurring "
ENDED: Final = "ENDED"
CARD, PAYPAL = "CARD_DIRECT", "PAYPAL"

Data = dict[str, Any]


def create_registration(incoming: Incoming, _caller: Caller) -> Answer:
    """Agree on pay-ins that come again."""
    body = Members(incoming.body)
    way = body.word("PaymentType", (CARD, PAYPAL), otherwise=CARD)
    said = {
        "PaymentType": way,
        "AuthorId": body.identity("AuthorId"),
        "CardId": body.identity("CardId") if way == CARD else None,
        "CreditedWalletId": body.identity("CreditedWalletId"),
        "CreditedUserId": body.identity("CreditedUserId", required=False) or None,
        "Billing": body.person("Billing"),
        "Shipping": body.person("Shipping"),
        "EndDate": body.whole("EndDate"),
        "Frequency": body.text("Frequency"),
        "FixedNextAmount": body.flag("FixedNextAmount"),
        "FractionedPayment": body.flag("FractionedPayment"),
        "FreeCycles": body.whole("FreeCycles", least=0) or 0,
        "Migration": body.flag("Migration", False),
    }
    amounts = {
        "FirstTransactionDebitedFunds": body.money("FirstTransactionDebitedFunds", least=1),
        "FirstTransactionFees": body.money("FirstTransactionFees"),
        "NextTransactionDebitedFunds": body.money("NextTransactionDebitedFunds", required=False, least=1),
        "NextTransactionFees": body.money("NextTransactionFees", required=False),
    }
    if body.errors:
        return complaints.parameters(body.errors)
    wrong = yield from _misplaced(said)
    if wrong is not None:
        return wrong
    at = yield from calls.now(incoming)
    identity = str((yield NextNumber()))
    registration = {
        **said,
        **{name: None if each is None else money(each.amount, each.currency) for name, each in amounts.items()},
        "Id": identity,
        "Status": "CREATED",
        "RecurringType": "CUSTOM",
        "CreationDate": int(at.timestamp()),
    }
    yield SaveDocument(KIND, identity, registration)
    yield from journal.announce("RECURRING_REGISTRATION_CREATED", identity, at)
    return Outgoing(body=(yield from shown(registration)))


def _misplaced(said: Data) -> Generator[Ask, Any, Complaint | None]:
    unknown = yield from users.existing("AuthorId", said["AuthorId"])
    if unknown is not None:
        return unknown
    wallet = yield from wallets.named("CreditedWalletId", said["CreditedWalletId"])
    if isinstance(wallet, Complaint):
        return wallet
    if said["PaymentType"] == PAYPAL:
        return (yield from _second(said["AuthorId"]))
    card = yield from cards.usable(said["CardId"], said["AuthorId"])
    return card if isinstance(card, Complaint) else None


def _second(author: str) -> Generator[Ask, Any, Complaint | None]:
    """A user has one agreement by PayPal at a time (provider docs: recurring pay-in registrations)."""
    match = {"AuthorId": author, "PaymentType": PAYPAL}
    known = yield from pages.every(ListDocuments(kind=KIND, match=match))
    if all(each["Status"] == ENDED for each in known):
        return None
    words = f"RecurringPayInRegistration already exists for given AuthorId={author} and PaymentType={PAYPAL}"
    return complaints.param_error(AuthorId=words)


def update_registration(incoming: Incoming, _caller: Caller) -> Answer:
    """Another card, or the end."""
    registration = yield from load(incoming.arguments["RecurringPayinRegistrationId"])
    if isinstance(registration, Complaint):
        return registration
    body = Members(incoming.body)
    card_id = body.identity("CardId", required=False)
    status = body.word("Status", ("CREATED", "AUTHENTICATION_NEEDED", "IN_PROGRESS", ENDED))
    around = {"Billing": body.person("Billing"), "Shipping": body.person("Shipping")}
    if body.errors:
        return complaints.parameters(body.errors)
    if card_id and registration.get("PaymentType", CARD) == CARD:
        card = yield from cards.usable(card_id, registration["AuthorId"])
        if isinstance(card, Complaint):
            return card
        registration = {**registration, "CardId": card_id}
    registration = {**registration, **{name: value for name, value in around.items() if value is not None}}
    if status == ENDED and registration["Status"] != ENDED:
        registration = {**registration, "Status": ENDED}
        yield from journal.announce(
            "RECURRING_REGISTRATION_ENDED", registration["Id"], (yield from calls.now(incoming))
        )
    yield SaveDocument(KIND, registration["Id"], registration)
    return Outgoing(body=(yield from shown(registration)))


def create_payin(incoming: Incoming, caller: Caller) -> Answer:
    """The next pay-in of an agreement by card; without amounts, as much as was agreed."""
    begun = yield from _begun(incoming, CARD)
    if isinstance(begun, Complaint):
        return begun
    registration, _, body = begun
    payin = statements.parse(body, known=registration)
    said = {"CardId": registration["CardId"], **_read(body)}
    placed = yield from _placed(body, registration, payin)
    if isinstance(placed, Complaint):
        return placed
    number = str((yield NextNumber()))
    made = yield from payins.pay_by_card(payins.METHODS[0], incoming, caller, placed, said, number)
    if isinstance(made, Complaint):
        return made
    made = msgspec.structs.replace(made, shown={**made.shown, "SecureMode": None})
    return (yield from _register(incoming, registration, placed, made))


def create_paypal_payin(incoming: Incoming, caller: Caller) -> Answer:
    """The next pay-in of an agreement by PayPal: on a page, or at once where one of them has come in."""
    begun = yield from _begun(incoming, PAYPAL)
    if isinstance(begun, Complaint):
        return begun
    registration, made_before, body = begun
    payin = statements.parse(body, known=registration)
    said = webmembers.read_order(body)
    webmembers.check_total(body, said, payin.funds)
    said["Shipping"] = said["Shipping"] or registration["Shipping"]
    placed = yield from _placed(body, registration, payin)
    if isinstance(placed, Complaint):
        return placed
    number = str((yield NextNumber()))
    confirmed = any(each.condition is Condition.CAPTURED for each in made_before)
    back = {name: redirects.returning(said[name], "transactionId", number) for name in ("ReturnURL", "CancelURL")}
    page = None if confirmed else (yield from redirects.page_url(incoming, caller, number))
    made = Made(
        identity=number,
        method=PAYPAL,
        execution="WEB",
        status=statements.CAPTURED if confirmed else statements.WAITING,
        shown={**said, **back, "RedirectURL": page},
    )
    return (yield from _register(incoming, registration, placed, made))


def _begun(incoming: Incoming, way: str) -> Generator[Ask, Any, tuple[Data, list[Payment], Members] | Complaint]:
    """The agreement a body names, what was paid under it, and the body with the amounts that it leaves to it."""
    body = Members(incoming.body)
    identity = body.identity("RecurringPayinRegistrationId")
    registration: Data | None = (yield LoadDocument(KIND, identity)) if identity else None
    if registration is None or registration.get("PaymentType", CARD) != way:
        return complaints.parameters(body.errors) if body.errors else _unknown(identity)
    members = incoming.body if isinstance(incoming.body, dict) else {}
    made_before = yield from statements.of_order(f"{ORDER}{identity}")
    body = Members({**members, **_agreed(registration, members, first=not made_before)})
    return registration, made_before, body


def _placed(body: Members, registration: Data, payin: Payin) -> Generator[Ask, Any, Payin | Complaint]:
    """The pay-in with its wallet's owner credited, unless something speaks against it."""
    if body.errors:
        return complaints.parameters(body.errors)
    if registration["Status"] == ENDED:
        return complaints.param_error(Status="The RecurringPayinRegistration has ended")
    return (yield from statements.place(payin))


def _register(incoming: Incoming, registration: Data, placed: Payin, made: Made) -> Answer:
    identity = registration["Id"]
    shown_too = {**made.shown, "RecurringPayinRegistrationId": identity}
    made = msgspec.structs.replace(made, shown=shown_too, order=f"{ORDER}{identity}")
    payment = yield from statements.register(placed, made)
    yield SaveDocument(KIND, identity, {**registration, "Status": "IN_PROGRESS"})
    yield from journal.announce("RECURRING_REGISTRATION_IN_PROGRESS", identity, (yield from calls.now(incoming)))
    return Outgoing(body=payin_object(payment))


def _unknown(identity: str) -> Complaint:
    return complaints.absent("RecurringPayinRegistrationId", "RecurringPayinRegistration", identity)


def _agreed(registration: Data, members: Data, *, first: bool) -> Data:
    """The amounts of this pay-in where the body states none."""
    if members.get("DebitedFunds") is not None or members.get("Fees") is not None:
        return {}
    funds, fees = registration["FirstTransactionDebitedFunds"], registration["FirstTransactionFees"]
    if not first:
        funds = registration["NextTransactionDebitedFunds"] or funds
        fees = registration["NextTransactionFees"] or fees
    return {"DebitedFunds": funds, "Fees": fees}


def _read(body: Members) -> Data:
    return {
        "SecureMode": body.word("SecureMode", payins.SECURE_MODES, otherwise="DEFAULT"),
        "SecureModeReturnURL": body.url("SecureModeReturnURL"),
        **webmembers.around(body),
        "PreferredCardNetwork": body.text("PreferredCardNetwork"),
        "PaymentCategory": body.text("PaymentCategory") or cards.CATEGORY,
    }


def view_registration(incoming: Incoming, _caller: Caller) -> Answer:
    """An agreement, with what was paid under it."""
    registration = yield from load(incoming.arguments["RecurringPayinRegistrationId"])
    return registration if isinstance(registration, Complaint) else Outgoing(body=(yield from shown(registration)))


def load(identity: str) -> Generator[Ask, Any, Data | Complaint]:
    """An agreement, or the 404 that stands for it."""
    registration: Data | None = yield LoadDocument(KIND, identity)
    return complaints.not_found("RecurringPayinRegistration", identity) if registration is None else registration


def shown(registration: Data) -> Generator[Ask, Any, Data]:
    """An agreement as it is printed."""
    made = yield from statements.of_order(f"{ORDER}{registration['Id']}")
    paid = [each for each in made if each.condition is Condition.CAPTURED]
    currency = registration["FirstTransactionDebitedFunds"]["Currency"]
    state = {
        "PayinsLinked": len(paid),
        "CumulatedDebitedAmount": money(sum(each.captured for each in paid), currency),
        "CumulatedFeesAmount": money(sum(each.fees for each in paid), currency),
        "LastPayinId": paid[-1].dialect_id if paid else None,
    }
    seen = {"PaymentType": CARD, **registration, "CurrentState": state}
    return {name: seen.get(name) for name in schemas.RECURRING["properties"]}


ROUTES: Final = (
    calls.route(
        "POST",
        "/recurringpayinregistrations",
        create_registration,
        "Agree on recurring pay-ins",
        asked=schemas.RECURRING_REQUEST,
        answered=schemas.RECURRING,
    ),
    calls.route(
        "GET",
        "/recurringpayinregistrations/{RecurringPayinRegistrationId}",
        view_registration,
        "View an agreement on recurring pay-ins",
        answered=schemas.RECURRING,
    ),
    calls.route(
        "PUT",
        "/recurringpayinregistrations/{RecurringPayinRegistrationId}",
        update_registration,
        "Change or end an agreement on recurring pay-ins",
        asked=schemas.RECURRING_CHANGE,
        answered=schemas.RECURRING,
    ),
    calls.route(
        "POST",
        "/payins/recurring/card/direct",
        create_payin,
        "Pay in under an agreement",
        asked=schemas.PAYIN_RECURRING_REQUEST,
        answered=schemas.PAYIN,
    ),
    calls.route(
        "POST",
        "/payins/payment-methods/paypal/recurring",
        create_paypal_payin,
        "Pay in by PayPal under an agreement",
        asked=schemas.PAYIN_PAYPAL_RECURRING_REQUEST,
        answered=schemas.PAYIN,
    ),
)
