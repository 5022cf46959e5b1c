"""Recurring pay-ins: an agreement once, then pay-ins that refer to it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from moneyback.core.payment import Condition
from moneyback.dialect import Ask, Caller, Incoming, LoadDocument, NextNumber, Outgoing, SaveDocument
from moneyback.dialects.mangopay import calls, cards, complaints, journal, payins, schemas, statements, users, wallets
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.members import Members
from moneyback.dialects.mangopay.statements import Made
from moneyback.dialects.mangopay.transactions import payin_object
from moneyback.dialects.mangopay.wire import money

KIND: Final = "recurring"
ORDER: Final = "recurring "
ENDED: Final = "ENDED"

Data = dict[str, Any]


def create_registration(incoming: Incoming, _caller: Caller) -> Answer:
    """Agree on pay-ins that come again."""
    body = Members(incoming.body)
    said = {
        "AuthorId": body.identity("AuthorId"),
        "CardId": body.identity("CardId"),
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
    yield from journal.happened("RECURRING_REGISTRATION_CREATED", identity, at)
    return Outgoing(body=(yield from shown(registration)))


def _misplaced(said: Data) -> Generator[Ask, Any, Complaint | None]:
    unknown = yield from users.existing("AuthorId", said["AuthorId"])
    if unknown is not None:
        return unknown
    wallet = yield from wallets.named("CreditedWalletId", said["CreditedWalletId"])
    if isinstance(wallet, Complaint):
        return wallet
    card = yield from cards.usable(said["CardId"], said["AuthorId"])
    return card if isinstance(card, Complaint) else None


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
    if card_id:
        card = yield from cards.usable(card_id, registration["AuthorId"])
        if isinstance(card, Complaint):
            return card
        registration = {**registration, "CardId": card_id}
    registration = {**registration, **{name: value for name, value in around.items() if value is not None}}
    if status == ENDED and registration["Status"] != ENDED:
        registration = {**registration, "Status": ENDED}
        yield from journal.happened(
            "RECURRING_REGISTRATION_ENDED", registration["Id"], (yield from calls.now(incoming))
        )
    yield SaveDocument(KIND, registration["Id"], registration)
    return Outgoing(body=(yield from shown(registration)))


def create_payin(incoming: Incoming, caller: Caller) -> Answer:
    """The next pay-in of an agreement; without amounts, as much as was agreed."""
    body = Members(incoming.body)
    identity = body.identity("RecurringPayinRegistrationId")
    registration: Data | None = (yield LoadDocument(KIND, identity)) if identity else None
    if registration is None:
        return complaints.parameters(body.errors) if body.errors else _unknown(identity)
    members = incoming.body if isinstance(incoming.body, dict) else {}
    made_before = yield from statements.of_order(f"{ORDER}{identity}")
    body = Members({**members, **_agreed(registration, members, first=not made_before)})
    payin = statements.parse(body, known=registration)
    said = {"CardId": registration["CardId"], **_read(body)}
    if body.errors:
        return complaints.parameters(body.errors)
    if registration["Status"] == ENDED:
        return complaints.param_error(Status="The RecurringPayinRegistration has ended")
    placed = yield from statements.place(payin)
    if isinstance(placed, Complaint):
        return placed
    number = str((yield NextNumber()))
    made = yield from payins.pay_by_card(payins.METHODS[0], incoming, caller, placed, said, number)
    if isinstance(made, Complaint):
        return made
    shown_too = {**made.shown, "RecurringPayinRegistrationId": identity, "SecureMode": None}
    made = Made(
        identity=number,
        method=made.method,
        execution=made.execution,
        status=made.status,
        shown=shown_too,
        used=made.used,
        order=f"{ORDER}{identity}",
    )
    payment = yield from statements.register(placed, made)
    yield SaveDocument(KIND, identity, {**registration, "Status": "IN_PROGRESS"})
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
        **payins.around(body),
        "PreferredCardNetwork": body.text("PreferredCardNetwork"),
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
    seen = {**registration, "CurrentState": state}
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
)
