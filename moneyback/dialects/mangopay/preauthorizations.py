"""Preauthorizations: money a card's bank holds ready, taken in one or more pay-ins.

A preauthorization is a document with the amount that was asked for. What is left of it is counted from its pay-ins,
each of which is a payment.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any, Final

from moneyback.core.payment import Condition, Payment
from moneyback.dialect import Ask, Caller, Incoming, ListDocuments, LoadDocument, NextNumber, Outgoing, SaveDocument
from moneyback.dialects.mangopay import calls, cards, complaints, journal, pages, payins, schemas, statements, users
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.members import Members, Stated
from moneyback.dialects.mangopay.statements import Made
from moneyback.dialects.mangopay.transactions import ABOVE_REMAINING, NOT_AUTHENTICATED, WORDS, payin_object
from moneyback.dialects.mangopay.wire import money

KIND: Final = "preauthorization"
LIFE: Final = 6 * 86_400 + 12 * 3600  # seconds a hold lasts (provider docs: preauthorizations)
ORDER: Final = "preauthorization "

_AUTHORISED: Final = ("SUCCEEDED", "PAYMENT_WAITING")
"""What the events of a hold that was confirmed end with."""
_UNEDITABLE: Final = Complaint(
    400,
    "preauthorization_payment_status_can_not_be_canceled",
    "The Payment Status of the preauthorization does not allow for it to be edited",
)
_UNUSED: Final = Complaint(400, "invalid_action", "Can't validate a preauthorization with no successful payin.")

Data = dict[str, Any]


def create_preauthorization(incoming: Incoming, caller: Caller) -> Answer:
    """Hold an amount on a card."""
    body = Members(incoming.body)
    author, funds, tag = body.identity("AuthorId"), body.money("DebitedFunds", least=1), body.tag()
    said, descriptor = payins.read_card(body), body.descriptor()
    if body.errors or funds is None:
        return complaints.parameters(body.errors)
    unknown = yield from users.existing("AuthorId", author)
    if unknown is not None:
        return unknown
    card = yield from cards.usable(said["CardId"], author)
    if isinstance(card, Complaint):
        return card
    at = int((yield from calls.now(incoming)).timestamp())
    identity, asked = str((yield NextNumber())), said["SecureMode"] == "FORCE"
    held = {
        **said,
        **(yield from payins.secure(incoming, caller, said, identity, "preAuthorizationId", asked)),
        "Id": identity,
        "Tag": tag,
        "CreationDate": at,
        "AuthorId": author,
        "Asked": {"Currency": funds.currency, "Amount": funds.amount},
        "Status": "CREATED",
        "PaymentStatus": "WAITING",
        "StatementDescriptor": descriptor,
        "PaymentType": "CARD",
        "ExecutionType": "DIRECT",
        "SecurityInfo": {"AVSResult": "NO_CHECK"},
        "MultiCapture": True,
        "CardInfo": cards.info(card),
    }
    held = held if asked else _authorised(held, at)
    yield SaveDocument(KIND, identity, held)
    yield from _announce(incoming, held, "CREATED", *(() if asked else _AUTHORISED))
    return Outgoing(body=(yield from shown(held)))


def _announce(incoming: Incoming, held: Data, *words: str) -> Generator[Ask, Any, None]:
    at = yield from calls.now(incoming)
    for word in words:
        yield from journal.announce(f"PREAUTHORIZATION_{word}", held["Id"], at)


def _authorised(held: Data, at: int) -> Data:
    changed = {"Status": "SUCCEEDED", "AuthorizationDate": at, "ExpirationDate": at + LIFE}
    return {**held, **changed, "ResultCode": "000000", "ResultMessage": "Success", "SecureModeRedirectURL": None}


def decide(incoming: Incoming, held: Data, confirmed: bool) -> Generator[Ask, Any, Data]:
    """What the card's holder said on the page."""
    at = yield from calls.now(incoming)
    if confirmed:
        held = _authorised(held, int(at.timestamp()))
    else:
        changed = {"Status": "FAILED", "PaymentStatus": "FAILED", "SecureModeRedirectURL": None}
        held = {**held, **changed, "ResultCode": NOT_AUTHENTICATED, "ResultMessage": WORDS[NOT_AUTHENTICATED]}
    yield SaveDocument(KIND, held["Id"], held)
    yield from _announce(incoming, held, *(_AUTHORISED if confirmed else ("FAILED",)))
    return held


def change_preauthorization(incoming: Incoming, _caller: Caller) -> Answer:
    """Let the rest go: CANCELED while nothing was taken, VALIDATED afterwards."""
    held = yield from load(incoming.arguments["PreauthorizationId"])
    if isinstance(held, Complaint):
        return held
    body = Members(incoming.body)
    wanted, tag = body.word("PaymentStatus", ("WAITING", "CANCELED", "VALIDATED")), body.tag()
    if body.errors:
        return complaints.parameters(body.errors)
    if tag is not None:
        held = {**held, "Tag": tag}
    if wanted in ("CANCELED", "VALIDATED") and wanted != held["PaymentStatus"]:
        taken = yield from _taken(held)
        if held["PaymentStatus"] != "WAITING" or (wanted == "CANCELED" and taken):
            return _UNEDITABLE
        if wanted == "VALIDATED" and not taken:
            return _UNUSED
        held = {**held, "PaymentStatus": wanted}
        yield SaveDocument(KIND, held["Id"], held)
        yield from _announce(incoming, held, f"PAYMENT_{wanted}")
    else:
        yield SaveDocument(KIND, held["Id"], held)
    return Outgoing(body=(yield from shown(held)))


def create_payin(incoming: Incoming, _caller: Caller) -> Answer:
    """Take some of what is held."""
    body = Members(incoming.body)
    identity = body.identity("PreauthorizationId")
    payin = statements.parse(body)
    if body.errors:
        return complaints.parameters(body.errors)
    held: Data | None = yield LoadDocument(KIND, identity)
    if held is None or held["AuthorId"] != payin.author:
        return complaints.absent("PreauthorizationId", "PreAuthorization", identity)
    placed = yield from statements.place(payin)
    if isinstance(placed, Complaint):
        return placed
    at = int((yield from calls.now(incoming)).timestamp())
    if held["Status"] != "SUCCEEDED":
        return complaints.param_error(Status="The PreAuthorization Status value has to be up to SUCCEEDED")
    if _payment_status(held, at) != "WAITING":
        return complaints.param_error(PaymentStatus="The PreAuthorization PaymentStatus value has to be WAITING")
    if held["Asked"]["Currency"] != placed.funds.currency:
        words = f"{held['Asked']['Currency']} and the DebitedFunds's currency {placed.funds.currency}"
        return complaints.currencies(f"The PreAuthorization's currency {words} must be the same")
    left = held["Asked"]["Amount"] - _sum((yield from _taken(held)))
    made = Made(
        identity=str((yield NextNumber())),
        method="PREAUTHORIZED",
        execution="DIRECT",
        code=ABOVE_REMAINING if placed.funds.amount > left else None,
        shown={"PreauthorizationId": identity},
        used={"CardId": held["CardId"]},
        order=f"{ORDER}{identity}",
    )
    payment = yield from statements.register(placed, made)
    if payment.condition is Condition.CAPTURED and payment.captured == left:
        yield SaveDocument(KIND, identity, {**held, "PaymentStatus": "VALIDATED"})
        yield from _announce(incoming, held, "PAYMENT_VALIDATED")
    return Outgoing(body=payin_object(payment))


def view_preauthorization(incoming: Incoming, _caller: Caller) -> Answer:
    """A preauthorization as it stands."""
    held = yield from load(incoming.arguments["PreauthorizationId"])
    if isinstance(held, Complaint):
        return held
    at = int((yield from calls.now(incoming)).timestamp())
    if held["PaymentStatus"] == "WAITING" and _payment_status(held, at) == "EXPIRED":
        expired = datetime.fromtimestamp(held["ExpirationDate"], UTC)
        yield from journal.announce("PREAUTHORIZATION_PAYMENT_EXPIRED", held["Id"], expired)
    return Outgoing(body=(yield from shown(held, at)))


def list_of_user(incoming: Incoming, _caller: Caller) -> Answer:
    """A user's preauthorizations."""
    user = yield from users.load(incoming.arguments["UserId"])
    if isinstance(user, Complaint):
        return user
    return (yield from pages.shown(incoming, ListDocuments(kind=KIND, match={"AuthorId": user["Id"]}), shown))


def list_of_card(incoming: Incoming, _caller: Caller) -> Answer:
    """A card's preauthorizations."""
    card = yield from cards.load(incoming.arguments["CardId"])
    if isinstance(card, Complaint):
        return card
    return (yield from pages.shown(incoming, ListDocuments(kind=KIND, match={"CardId": card["Id"]}), shown))


def list_transactions(incoming: Incoming, _caller: Caller) -> Answer:
    """The pay-ins that took of a preauthorization."""
    held = yield from load(incoming.arguments["PreauthorizationId"])
    if isinstance(held, Complaint):
        return held
    return (yield from statements.list_of_order(incoming, f"{ORDER}{held['Id']}"))


def load(identity: str) -> Generator[Ask, Any, Data | Complaint]:
    """A preauthorization, or the 404 that stands for it."""
    held: Data | None = yield LoadDocument(KIND, identity)
    return complaints.not_found("PreAuthorization", identity) if held is None else held


def _taken(held: Data) -> Generator[Ask, Any, list[Payment]]:
    return (yield from statements.captured_of_order(f"{ORDER}{held['Id']}"))


def _sum(taken: list[Payment]) -> int:
    return sum(each.captured for each in taken)


def _payment_status(held: Data, at: int) -> str:
    """What is waiting runs out by itself."""
    over = held.get("ExpirationDate") is not None and at >= held["ExpirationDate"]
    return "EXPIRED" if over and held["PaymentStatus"] == "WAITING" else str(held["PaymentStatus"])


def shown(held: Data, at: int = 0) -> Generator[Ask, Any, Data]:
    """A preauthorization as it is printed, with what its pay-ins have left of it."""
    taken = yield from _taken(held)
    asked, status = Stated(held["Asked"]["Amount"], held["Asked"]["Currency"]), _payment_status(held, at)
    left = max(0, asked.amount - _sum(taken)) if status == "WAITING" else 0
    seen = {
        **held,
        "DebitedFunds": money(asked.amount, asked.currency),
        "RemainingFunds": money(left, asked.currency),
        "PaymentStatus": status,
        "PayInId": taken[-1].dialect_id if taken else None,
    }
    return {name: seen.get(name) for name in schemas.PREAUTHORIZATION["properties"]}


ROUTES: Final = (
    calls.route(
        "POST",
        "/preauthorizations/card/direct",
        create_preauthorization,
        "Hold an amount on a card",
        asked=schemas.PREAUTHORIZATION_REQUEST,
        answered=schemas.PREAUTHORIZATION,
    ),
    calls.route(
        "GET",
        "/preauthorizations/{PreauthorizationId}",
        view_preauthorization,
        "View a preauthorization",
        answered=schemas.PREAUTHORIZATION,
    ),
    calls.route(
        "PUT",
        "/preauthorizations/{PreauthorizationId}",
        change_preauthorization,
        "Cancel or validate a preauthorization",
        asked=schemas.PREAUTHORIZATION_CHANGE,
        answered=schemas.PREAUTHORIZATION,
    ),
    calls.route(
        "POST",
        "/payins/preauthorized/direct",
        create_payin,
        "Pay in what a preauthorization holds, or some of it",
        asked=schemas.PAYIN_PREAUTHORIZED_REQUEST,
        answered=schemas.PAYIN,
    ),
    calls.route(
        "GET",
        "/preauthorizations/{PreauthorizationId}/transactions",
        list_transactions,
        "List the pay-ins of a preauthorization",
        answered=calls.listed(schemas.TRANSACTION),
    ),
    calls.route(
        "GET",
        "/users/{UserId}/preauthorizations",
        list_of_user,
        "List a user's preauthorizations",
        answered=calls.listed(schemas.PREAUTHORIZATION),
    ),
    calls.route(
        "GET",
        "/cards/{CardId}/preauthorizations",
        list_of_card,
        "List a card's preauthorizations",
        answered=calls.listed(schemas.PREAUTHORIZATION),
    ),
)
