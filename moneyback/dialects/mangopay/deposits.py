"""Extended preauthorizations, called deposits before: money a card's bank holds for thirty days, taken in one pay-in.

Both names lead to the same objects; how one was made decides by which events it is told of. The pay-in that takes the
money has its id from the beginning: however often it is asked for at once, it is one payment.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from moneyback.core.payment import Payment
from moneyback.dialect import Ask, Caller, Incoming, ListDocuments, LoadDocument, NextNumber, Outgoing, SaveDocument
from moneyback.dialects.mangopay import calls, cards, complaints, journal, pages, payins, schemas, statements, users
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.members import Members
from moneyback.dialects.mangopay.statements import Made, Payin
from moneyback.dialects.mangopay.transactions import ABOVE_REMAINING, NOT_AUTHENTICATED, WORDS, payin_object
from moneyback.dialects.mangopay.wire import money

KIND: Final = "extended preauthorization"
ORDER: Final = "extended preauthorization "
LIFE: Final = 29 * 86_400 + 12 * 3600  # seconds a hold lasts (provider docs: extended preauthorizations)
OPEN: Final = ("WAITING", "FAILED")
"""What may still be taken: a pay-in that failed may be tried again."""

_NOT_HELD: Final = Complaint(400, "invalid_action", "The deposit is not in the PreAuthorized status.")
_TAKEN: Final = Complaint(400, "invalid_action", "The capture has a success status.")

Data = dict[str, Any]


class Name(msgspec.Struct, frozen=True, kw_only=True):
    """What of it has been renamed."""

    word: str
    member: str

    @property
    def path(self) -> str:
        """Where the objects are."""
        return f"/{self.word}-preauthorizations"

    @property
    def events(self) -> str:
        """What the types of its events begin with."""
        return f"{self.word.upper()}_PREAUTHORIZATION"


NAMES: Final = (
    Name(word="deposit", member="DepositId"),
    Name(word="extended", member="ExtendedPreauthorizationId"),
)


def creates(name: Name) -> calls.Handler:
    """The handler that asks for a hold. The card's holder always confirms it (provider docs: extended
    preauthorizations)."""

    def create_hold(incoming: Incoming, caller: Caller) -> Answer:
        body = Members(incoming.body)
        author, funds, tag = body.identity("AuthorId"), body.money("DebitedFunds", least=1), body.tag()
        said, descriptor = payins.read_card(body), body.descriptor()
        body.url("SecureModeReturnURL", required=True)
        if body.errors or funds is None:
            return complaints.parameters(body.errors)
        unknown = yield from users.existing("AuthorId", author)
        if unknown is not None:
            return unknown
        card = yield from cards.usable(said["CardId"], author)
        if isinstance(card, Complaint):
            return card
        at = int((yield from calls.now(incoming)).timestamp())
        identity = str((yield NextNumber()))
        held = {
            **said,
            **(yield from payins.secure(incoming, caller, said, identity, "depositId", asked=True)),
            "Id": identity,
            "Tag": tag,
            "CreationDate": at,
            "ExpirationDate": at + LIFE,
            "AuthorId": author,
            "Asked": {"Currency": funds.currency, "Amount": funds.amount},
            "Status": "CREATED",
            "PaymentStatus": "WAITING",
            "StatementDescriptor": descriptor,
            "PaymentType": "CARD",
            "ExecutionType": "DIRECT",
            "CardInfo": cards.info(card),
            "Fingerprint": card["Fingerprint"],
            "Events": name.events,
            "TakenBy": str((yield NextNumber())),
        }
        yield SaveDocument(KIND, identity, held)
        yield from _announce(incoming, held, "CREATED")
        return Outgoing(body=(yield from shown(held, at)))

    return create_hold


def decide(incoming: Incoming, held: Data, confirmed: bool) -> Generator[Ask, Any, Data]:
    """What the card's holder said on the page."""
    at = int((yield from calls.now(incoming)).timestamp())
    if confirmed:
        ends: Data = {"Status": "SUCCEEDED", "AuthorizationDate": at, "ExpirationDate": at + LIFE}
        ends |= {"ResultCode": "000000", "ResultMessage": "Success"}
    else:
        ends = {"Status": "FAILED", "PaymentStatus": "FAILED"}
        ends |= {"ResultCode": NOT_AUTHENTICATED, "ResultMessage": WORDS[NOT_AUTHENTICATED]}
    held = {**held, **ends, "SecureModeRedirectURL": None}
    yield SaveDocument(KIND, held["Id"], held)
    yield from _announce(incoming, held, "PAYMENT_WAITING" if confirmed else "FAILED")
    return held


def cancel(incoming: Incoming, _caller: Caller) -> Answer:
    """Let the money go, while nothing was taken."""
    held = yield from load(incoming.arguments["DepositId"])
    if isinstance(held, Complaint):
        return held
    body = Members(incoming.body)
    wanted = body.word("PaymentStatus", ("CANCELED",), required=True)
    if not wanted:
        return complaints.parameters(body.errors)
    at = int((yield from calls.now(incoming)).timestamp())
    if (yield from _taken(held)):
        return _TAKEN
    if _payment_status(held, at) not in OPEN or held["Status"] == "FAILED":
        return _NOT_HELD
    held = {**held, "PaymentStatus": wanted, "SecureModeRedirectURL": None}
    yield SaveDocument(KIND, held["Id"], held)
    yield from _announce(incoming, held, "PAYMENT_CANCEL_REQUESTED", "PAYMENT_CANCELED")
    return Outgoing(body=(yield from shown(held, at)))


def takes(name: Name) -> calls.Handler:
    """The handler that takes what is held, or some of it; whatever is left is let go."""

    def create_payin(incoming: Incoming, _caller: Caller) -> Answer:
        body = Members(incoming.body)
        member = name.member if body.has(name.member) else NAMES[0].member
        identity = body.identity(member if body.has(member) else name.member)
        payin = statements.parse(body)
        if body.errors:
            return complaints.parameters(body.errors)
        held: Data | None = yield LoadDocument(KIND, identity)
        if held is None:
            return complaints.absent(member, "Deposit", identity)
        # Who pays was settled with the hold, whatever is said now (provider docs: extended preauthorized pay-ins).
        placed = yield from statements.place(msgspec.structs.replace(payin, author=held["AuthorId"]))
        if isinstance(placed, Complaint):
            return placed
        wrong = yield from _unfit(incoming, held, placed)
        return wrong if wrong is not None else (yield from _take(incoming, held, placed))

    return create_payin


def _unfit(incoming: Incoming, held: Data, payin: Payin) -> Generator[Ask, Any, Complaint | None]:
    at = int((yield from calls.now(incoming)).timestamp())
    if held["Status"] != "SUCCEEDED" or _payment_status(held, at) not in OPEN or (yield from _taken(held)):
        return _NOT_HELD
    if payin.credited != held["AuthorId"]:
        words = f"CreditedUserExternalId:{payin.credited} must be Equal to authorId:{held['AuthorId']}."
        return Complaint(400, "invalid_action", words)
    if held["Asked"]["Currency"] == payin.funds.currency:
        return None
    words = f"{held['Asked']['Currency']} and the DebitedFunds's currency {payin.funds.currency}"
    return complaints.currencies(f"The PreAuthorization's currency {words} must be the same")


def _take(incoming: Incoming, held: Data, payin: Payin) -> Answer:
    code = ABOVE_REMAINING if payin.funds.amount > held["Asked"]["Amount"] else None
    fails = code is not None or payin.fees.amount >= payin.funds.amount
    made = Made(
        identity=str((yield NextNumber())) if fails else held["TakenBy"],
        method="PREAUTHORIZED",
        execution="DIRECT",
        code=code,
        shown=_named(held),
        used={"CardId": held["CardId"]},
        order=f"{ORDER}{held['Id']}",
    )
    payment = yield from statements.register(payin, made)
    if not fails and payment.captured != payin.funds.amount:
        return _NOT_HELD  # another pay-in was first
    yield SaveDocument(KIND, held["Id"], {**held, "PaymentStatus": "FAILED" if fails else "VALIDATED"})
    yield from _announce(incoming, held, "PAYMENT_FAILED" if fails else "PAYMENT_VALIDATED")
    return Outgoing(body=payin_object(payment))


def _named(held: Data) -> Data:
    """The hold's id as its pay-in shows it: by the older name always, by the newer one where that made it."""
    return {each.member: held["Id"] for each in NAMES if each.word == "deposit" or each.events == held["Events"]}


def _announce(incoming: Incoming, held: Data, *words: str) -> Generator[Ask, Any, None]:
    at = yield from calls.now(incoming)
    for word in words:
        yield from journal.announce(f"{held['Events']}_{word}", held["Id"], at)


# --- read back -------------------------------------------------------------------------------------------------------


def view(incoming: Incoming, _caller: Caller) -> Answer:
    """A hold as it stands. That it has run out is noticed by whoever looks."""
    held = yield from load(incoming.arguments["DepositId"])
    if isinstance(held, Complaint):
        return held
    at = int((yield from calls.now(incoming)).timestamp())
    if _payment_status(held, at) == "EXPIRED":
        ran_out = datetime.fromtimestamp(held["ExpirationDate"], UTC)
        yield from journal.announce(f"{held['Events']}_PAYMENT_EXPIRED", held["Id"], ran_out)
    return Outgoing(body=(yield from shown(held, at)))


def list_of_user(incoming: Incoming, _caller: Caller) -> Answer:
    """A user's holds."""
    user = yield from users.load(incoming.arguments["UserId"])
    return user if isinstance(user, Complaint) else (yield from _list(incoming, {"AuthorId": user["Id"]}))


def list_of_card(incoming: Incoming, _caller: Caller) -> Answer:
    """A card's holds."""
    card = yield from cards.load(incoming.arguments["CardId"])
    return card if isinstance(card, Complaint) else (yield from _list(incoming, {"CardId": card["Id"]}))


def list_of_fingerprint(incoming: Incoming, _caller: Caller) -> Answer:
    """The holds of all registrations of one card."""
    match = {"Fingerprint": incoming.arguments["Fingerprint"]}
    if not (yield ListDocuments(kind=cards.CARD, match=match, limit=1)):
        return complaints.not_found("Card", match["Fingerprint"])
    return (yield from _list(incoming, match))


def _list(incoming: Incoming, match: Data) -> Answer:
    at = int((yield from calls.now(incoming)).timestamp())

    def show(held: Data) -> Generator[Ask, Any, Data]:
        return (yield from shown(held, at))

    return (yield from pages.shown(incoming, ListDocuments(kind=KIND, match=match), show))


def list_transactions(incoming: Incoming, _caller: Caller) -> Answer:
    """The pay-in that took the money, and those that failed to."""
    held = yield from load(incoming.arguments["DepositId"])
    if isinstance(held, Complaint):
        return held
    return (yield from statements.list_of_order(incoming, f"{ORDER}{held['Id']}"))


def load(identity: str) -> Generator[Ask, Any, Data | Complaint]:
    """A hold, or the 404 that stands for it."""
    held: Data | None = yield LoadDocument(KIND, identity)
    return complaints.not_found("Deposit", identity) if held is None else held


def _taken(held: Data) -> Generator[Ask, Any, list[Payment]]:
    return (yield from statements.captured_of_order(f"{ORDER}{held['Id']}"))


def _payment_status(held: Data, at: int) -> str:
    """What is open runs out by itself."""
    open_still = held["PaymentStatus"] in OPEN and held["Status"] != "FAILED"
    return "EXPIRED" if open_still and at >= held["ExpirationDate"] else str(held["PaymentStatus"])


def shown(held: Data, at: int) -> Generator[Ask, Any, Data]:
    """A hold as it is printed."""
    taken = yield from _taken(held)
    seen = {
        **held,
        "DebitedFunds": money(held["Asked"]["Amount"], held["Asked"]["Currency"]),
        "PaymentStatus": "VALIDATED" if taken else _payment_status(held, at),
        "PayinsLinked": {"PayinCaptureId": taken[0].dialect_id if taken else None, "PayinComplementId": None},
    }
    return {name: seen.get(name) for name in schemas.DEPOSIT["properties"]}


def _routes(name: Name) -> tuple[Any, ...]:
    one = f"{name.path}/{{DepositId}}"
    many = calls.listed(schemas.DEPOSIT)
    return (
        calls.route(
            "POST",
            f"{name.path}/card/direct",
            creates(name),
            "Hold an amount on a card for thirty days",
            asked=schemas.DEPOSIT_REQUEST,
            answered=schemas.DEPOSIT,
        ),
        calls.route("GET", one, view, "View a hold of thirty days", answered=schemas.DEPOSIT),
        calls.route(
            "PUT",
            one,
            cancel,
            "Cancel a hold of thirty days",
            asked=schemas.DEPOSIT_CHANGE,
            answered=schemas.DEPOSIT,
        ),
        calls.route(
            "POST",
            f"/payins/{name.word}-preauthorized/direct/full-capture",
            takes(name),
            "Pay in what a hold of thirty days holds, or some of it",
            asked=schemas.payin_deposit_request(name.member),
            answered=schemas.PAYIN,
        ),
        calls.route(
            "GET",
            f"{one}/transactions",
            list_transactions,
            "List the pay-ins of a hold of thirty days",
            answered=calls.listed(schemas.TRANSACTION),
        ),
        calls.route(
            "GET", f"/users/{{UserId}}{name.path}", list_of_user, "List a user's holds of thirty days", answered=many
        ),
        calls.route(
            "GET", f"/cards/{{CardId}}{name.path}", list_of_card, "List a card's holds of thirty days", answered=many
        ),
        calls.route(
            "GET",
            f"/cards/fingerprints/{{Fingerprint}}{name.path}",
            list_of_fingerprint,
            "List the holds of thirty days of all registrations of a card",
            answered=many,
        ),
    )


ROUTES: Final = tuple(route for name in NAMES for route in _routes(name))
