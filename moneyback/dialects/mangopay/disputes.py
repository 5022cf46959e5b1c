"""Disputes: a payer's bank takes a pay-in back, for the time being or for good; and the repudiations behind them.

The provider's own API opens none: banks do. Here a call of ours does (`POST …/disputes`), and another says how one
ends. What it means for the pay-in's money is the engine's: an open dispute contests it, a lost one takes it back.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any, Final

from moneyback.core.commands import Sighting
from moneyback.core.payment import Condition, Payment
from moneyback.dialect import (
    Ask,
    Caller,
    FindPayment,
    Incoming,
    ListDocuments,
    LoadDocument,
    NextNumber,
    Outgoing,
    SaveDocument,
    SeePayment,
)
from moneyback.dialects.mangopay import calls, complaints, journal, pages, payins, schemas, users, wallets
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.members import Members
from moneyback.dialects.mangopay.transactions import payin_object
from moneyback.dialects.mangopay.wire import author_of, money, wallet_of

KIND: Final = "dispute"
REPUDIATION: Final = "repudiation"
TYPES: Final = ("CONTESTABLE", "NOT_CONTESTABLE", "RETRIEVAL")
REASONS: Final = ("DUPLICATE", "FRAUD", "PRODUCT_UNACCEPTABLE", "UNKNOWN", "OTHER", "REFUND_CONVERSION_RATE")
CONTESTED_WITHIN: Final = timedelta(days=7)

_PASSED: Final = Complaint(
    400,
    "dispute_contest_deadline_passed",
    "The ContestDeadlineDate has now passed and this Dispute is no longer contestable",
)

Data = dict[str, Any]


# --- ours: how a dispute comes about, and how it ends ----------------------------------------------------------------


def open_dispute(incoming: Incoming, _caller: Caller) -> Answer:
    """A payer's bank contests a pay-in, all of it unless `DisputedFunds` say less."""
    body = Members(incoming.body)
    identity, tag = body.identity("InitialTransactionId"), body.tag()
    kind = body.word("DisputeType", TYPES, otherwise="CONTESTABLE")
    reason = body.word("DisputeReasonType", REASONS, otherwise="UNKNOWN")
    funds = body.money("DisputedFunds", required=False, least=1)
    if body.errors:
        return complaints.parameters(body.errors)
    payment = yield from payins.load(identity)
    if isinstance(payment, Complaint):
        return payment
    wrong = _undisputable(payment, None if funds is None else funds.amount)
    if wrong is not None:
        return wrong
    amount = payment.captured if funds is None else funds.amount
    at = yield from calls.now(incoming)
    number, repudiation = str((yield NextNumber())), str((yield NextNumber()))
    opened = Sighting(kind="dispute_open", amount=amount, reference=number)
    yield SeePayment(payment=payment, sighting=opened)
    claimed = {"Currency": payment.currency, "Amount": amount}
    contestable = kind == "CONTESTABLE"
    dispute = {
        "Id": number,
        "InitialTransactionId": identity,
        "InitialTransactionType": "PAYIN",
        "InitialTransactionNature": "REGULAR",
        "DisputeType": kind,
        "ContestDeadlineDate": int((at + CONTESTED_WITHIN).timestamp()) if contestable else None,
        "Claimed": claimed,
        "Contested": None,
        "Status": "PENDING_CLIENT_ACTION" if contestable else "CLOSED",
        "DisputeReason": {"DisputeReasonType": reason, "DisputeReasonMessage": None},
        "Tag": tag,
        "CreationDate": int(at.timestamp()),
        "RepudiationId": repudiation,
        "UserId": author_of(payment),
        "WalletId": wallet_of(payment),
    }
    yield SaveDocument(KIND, number, dispute)
    yield SaveDocument(REPUDIATION, repudiation, {"Id": repudiation, "DisputeId": number})
    yield from journal.announce("DISPUTE_CREATED", number, at)
    for word in ("CREATED", "SUCCEEDED"):
        yield from journal.announce(f"PAYIN_REPUDIATION_{word}", repudiation, at)
    if not contestable:
        dispute = yield from _end(incoming, dispute, payment, "LOST")
    return Outgoing(body=_shown(dispute))


def _undisputable(payment: Payment, amount: int | None) -> Complaint | None:
    if payment.condition is not Condition.CAPTURED:
        return complaints.NOT_SUCCEEDED
    if payment.refunded or payment.external or payment.held:
        return complaints.param_error(InitialTransactionId="A refunded PayIn can not be disputed")
    if payment.disputed or payment.clawed_back:
        return complaints.param_error(InitialTransactionId="This PayIn is disputed already")
    if amount is not None and amount > payment.captured:
        return complaints.param_error(DisputedFunds="The DisputedFunds are more than the DebitedFunds of the PayIn")
    return None


def decide_dispute(incoming: Incoming, _caller: Caller) -> Answer:
    """How the banks decided: WON or LOST."""
    found = yield from _found(incoming)
    if isinstance(found, Complaint):
        return found
    dispute, payment = found
    body = Members(incoming.body)
    outcome = body.word("ResultCode", ("WON", "LOST"), required=True)
    if not body.errors and dispute["Status"] == "CLOSED":
        body.wrong("Status", "The Dispute is closed")
    if body.errors:
        return complaints.parameters(body.errors)
    return Outgoing(body=_shown((yield from _end(incoming, dispute, payment, outcome))))


def _end(incoming: Incoming, dispute: Data, payment: Payment, outcome: str) -> Generator[Ask, Any, Data]:
    at = yield from calls.now(incoming)
    won, amount = outcome == "WON", dispute["Claimed"]["Amount"]
    seen = Sighting(kind="dispute_won" if won else "dispute_lost", amount=amount, reference=dispute["Id"])
    yield SeePayment(payment=payment, sighting=seen)
    dispute = {**dispute, "Status": "CLOSED", "ResultCode": outcome, "ClosedDate": int(at.timestamp())}
    if won:
        dispute["ReturnId"] = str((yield NextNumber()))
    yield SaveDocument(KIND, dispute["Id"], dispute)
    yield from journal.announce("DISPUTE_CLOSED", dispute["Id"], at)
    return dispute


# --- the provider's --------------------------------------------------------------------------------------------------


def submit_dispute(incoming: Incoming, _caller: Caller) -> Answer:
    """Contest a dispute, for some of its amount or all of it."""
    found = yield from _found(incoming)
    if isinstance(found, Complaint):
        return found
    dispute, payment = found
    body = Members(incoming.body)
    again = dispute["Contested"] is not None
    if not body.has("ContestedFunds") and not again:
        return complaints.param_error(ContestedFunds="This field is required")
    contested = body.money("ContestedFunds", required=False, least=1)
    if body.errors:
        return complaints.parameters(body.errors)
    at = int((yield from calls.now(incoming)).timestamp())
    wrong = _uncontestable(dispute, at)
    if wrong is not None:
        return wrong
    if contested is not None and contested.currency != payment.currency:
        return complaints.param_error(ContestedFunds__Currency="The Currency is not the one of the DisputedFunds")
    if contested is not None and contested.amount > dispute["Claimed"]["Amount"]:
        words = "The ContestedFunds amount must be less than or equal to the DisputedFunds amount"
        return complaints.param_error(ContestedFunds=words)
    if contested is not None:
        dispute = {**dispute, "Contested": {"Currency": contested.currency, "Amount": contested.amount}}
    dispute = {**dispute, "Status": "SUBMITTED"}
    yield SaveDocument(KIND, dispute["Id"], dispute)
    yield from journal.announce("DISPUTE_SUBMITTED", dispute["Id"], (yield from calls.now(incoming)))
    return Outgoing(body=_shown(dispute))


def _uncontestable(dispute: Data, at: int) -> Complaint | None:
    if dispute["Status"] == "CLOSED" or dispute["DisputeType"] != "CONTESTABLE":
        return complaints.param_error(Status="The Dispute can not be contested")
    return _PASSED if at > dispute["ContestDeadlineDate"] else None


def close_dispute(incoming: Incoming, _caller: Caller) -> Answer:
    """Give a dispute up: it is lost."""
    found = yield from _found(incoming)
    if isinstance(found, Complaint):
        return found
    dispute, payment = found
    if dispute["Status"] == "CLOSED":
        return complaints.param_error(Status="The Dispute is closed")
    return Outgoing(body=_shown((yield from _end(incoming, dispute, payment, "LOST"))))


def update_dispute(incoming: Incoming, _caller: Caller) -> Answer:
    """Another tag."""
    found = yield from _found(incoming)
    if isinstance(found, Complaint):
        return found
    dispute, _ = found
    body = Members(incoming.body)
    tag = body.tag()
    if body.errors:
        return complaints.parameters(body.errors)
    dispute = {**dispute, "Tag": tag if tag is not None else dispute["Tag"]}
    yield SaveDocument(KIND, dispute["Id"], dispute)
    return Outgoing(body=_shown(dispute))


def view_dispute(incoming: Incoming, _caller: Caller) -> Answer:
    """One dispute."""
    found = yield from _found(incoming)
    return found if isinstance(found, Complaint) else Outgoing(body=_shown(found[0]))


def list_disputes(incoming: Incoming, _caller: Caller) -> Answer:
    """All disputes."""
    return (yield from _list(incoming, {}))


def list_of_user(incoming: Incoming, _caller: Caller) -> Answer:
    """The disputes of what a user paid."""
    user = yield from users.load(incoming.arguments["UserId"])
    return user if isinstance(user, Complaint) else (yield from _list(incoming, {"UserId": user["Id"]}))


def list_of_wallet(incoming: Incoming, _caller: Caller) -> Answer:
    """The disputes of what was paid into a wallet."""
    wallet = yield from wallets.load(incoming.arguments["WalletId"])
    return wallet if isinstance(wallet, Complaint) else (yield from _list(incoming, {"WalletId": wallet["Id"]}))


def list_of_payin(incoming: Incoming, _caller: Caller) -> Answer:
    """The disputes of a pay-in."""
    payment = yield from payins.load(incoming.arguments["PayInId"])
    if isinstance(payment, Complaint):
        return payment
    return (yield from _list(incoming, {"InitialTransactionId": payment.dialect_id}))


def list_pending(incoming: Incoming, _caller: Caller) -> Answer:
    """Disputes that were lost and not settled. Here a lost dispute has left the wallet that was paid, so none is."""
    listing = pages.parse_listing(incoming)
    yield from ()
    if isinstance(listing, dict):
        return complaints.parameters(listing)
    return pages.answer(incoming, listing, (), 0)


def _list(incoming: Incoming, match: Data) -> Answer:
    def show(dispute: Data) -> Generator[Ask, Any, Data]:
        yield from ()
        return _shown(dispute)

    return (yield from pages.shown(incoming, ListDocuments(kind=KIND, match=match), show))


def list_transactions(incoming: Incoming, _caller: Caller) -> Answer:
    """The pay-in that is disputed, and its repudiation."""
    found = yield from _found(incoming)
    if isinstance(found, Complaint):
        return found
    dispute, payment = found
    listing = pages.parse_listing(incoming)
    if isinstance(listing, dict):
        return complaints.parameters(listing)
    rows = pages.chosen([payin_object(payment), _repudiation(dispute)], listing)
    return pages.answer(incoming, listing, pages.page(rows, listing), len(rows))


def view_repudiation(incoming: Incoming, _caller: Caller) -> Answer:
    """What a payer's bank took."""
    dispute = yield from _repudiated(incoming)
    return dispute if isinstance(dispute, Complaint) else Outgoing(body=_repudiation(dispute))


def list_repudiation_refunds(incoming: Incoming, _caller: Caller) -> Answer:
    """What a payer's bank gave back after a dispute was won."""
    dispute = yield from _repudiated(incoming)
    if isinstance(dispute, Complaint):
        return dispute
    listing = pages.parse_listing(incoming)
    if isinstance(listing, dict):
        return complaints.parameters(listing)
    rows = [_return(dispute, incoming.arguments["ClientId"])] if "ReturnId" in dispute else []
    rows = pages.chosen(rows, listing)
    return pages.answer(incoming, listing, pages.page(rows, listing), len(rows))


def _repudiated(incoming: Incoming) -> Generator[Ask, Any, Data | Complaint]:
    identity = incoming.arguments["RepudiationId"]
    repudiation: Data | None = yield LoadDocument(REPUDIATION, identity)
    dispute: Data | None = None if repudiation is None else (yield LoadDocument(KIND, repudiation["DisputeId"]))
    return complaints.not_found("Repudiation", identity) if dispute is None else dispute


def _found(incoming: Incoming) -> Generator[Ask, Any, tuple[Data, Payment] | Complaint]:
    identity = incoming.arguments["DisputeId"]
    dispute: Data | None = yield LoadDocument(KIND, identity)
    payment: Payment | None = None if dispute is None else (yield FindPayment(dispute["InitialTransactionId"]))
    if dispute is None or payment is None:
        return complaints.not_found("Dispute", identity)
    return dispute, payment


def _shown(dispute: Data) -> Data:
    claimed, contested = dispute["Claimed"], dispute["Contested"]
    seen = {
        "ResultCode": "",
        **dispute,
        "DisputedFunds": money(claimed["Amount"], claimed["Currency"]),
        "ContestedFunds": None if contested is None else money(contested["Amount"], contested["Currency"]),
    }
    return {name: seen.get(name) for name in schemas.DISPUTE["properties"]}


def _repudiation(dispute: Data) -> Data:
    return {
        **_booked(dispute),
        "AuthorId": dispute["UserId"],
        "Id": dispute["RepudiationId"],
        "CreationDate": dispute["CreationDate"],
        "ExecutionDate": dispute["CreationDate"],
        "Type": "PAYOUT",
        "Nature": "REPUDIATION",
        "CreditedUserId": None,
        "CreditedWalletId": None,
        "DebitedWalletId": f"CREDIT_{dispute['Claimed']['Currency']}",
        "InitialTransactionId": dispute["InitialTransactionId"],
        "InitialTransactionType": "PAYIN",
        "InitialTransactionNature": "REGULAR",
    }


def _return(dispute: Data, client: str) -> Data:
    """A repudiation's refund: the one kind that credits the platform (provider docs: the refund object)."""
    return {
        **_booked(dispute),
        "AuthorId": dispute["UserId"],
        "Id": dispute["ReturnId"],
        "CreationDate": dispute["ClosedDate"],
        "ExecutionDate": dispute["ClosedDate"],
        "Type": "PAYIN",
        "Nature": "REFUND",
        "CreditedUserId": client,
        "CreditedWalletId": f"CREDIT_{dispute['Claimed']['Currency']}",
        "DebitedWalletId": None,
        "InitialTransactionId": dispute["RepudiationId"],
        "InitialTransactionType": "PAYOUT",
        "InitialTransactionNature": "REPUDIATION",
        "RefundReason": {"RefundReasonMessage": None, "RefundReasonType": "OTHER"},
        "StatementDescriptor": None,
    }


def _booked(dispute: Data) -> Data:
    claimed = dispute["Claimed"]
    amount, currency = claimed["Amount"], claimed["Currency"]
    return {
        "Tag": None,
        "DebitedFunds": money(amount, currency),
        "CreditedFunds": money(amount, currency),
        "Fees": money(0, currency),
        "Status": "SUCCEEDED",
        "ResultCode": "000000",
        "ResultMessage": "Success",
    }


_ONE: Final = "/disputes/{DisputeId}"

ROUTES: Final = (
    calls.route(
        "POST",
        "/disputes",
        open_dispute,
        "Ours: let a payer's bank dispute a pay-in",
        asked=schemas.DISPUTE_REQUEST,
        answered=schemas.DISPUTE,
    ),
    calls.route(
        "POST",
        f"{_ONE}/outcome",
        decide_dispute,
        "Ours: let the banks decide a dispute",
        asked=schemas.DISPUTE_OUTCOME,
        answered=schemas.DISPUTE,
    ),
    calls.route("GET", "/disputes", list_disputes, "List disputes", answered=calls.listed(schemas.DISPUTE)),
    calls.route(
        "GET",
        "/disputes/pendingsettlement",
        list_pending,
        "List disputes to be settled",
        answered=calls.listed(schemas.DISPUTE),
    ),
    calls.route("GET", _ONE, view_dispute, "View a dispute", answered=schemas.DISPUTE),
    calls.route("PUT", _ONE, update_dispute, "Tag a dispute", asked=schemas.TAG_CHANGE, answered=schemas.DISPUTE),
    *(
        calls.route(
            "PUT",
            f"{_ONE}/{word}",
            submit_dispute,
            "Contest a dispute",
            asked=schemas.DISPUTE_SUBMISSION,
            answered=schemas.DISPUTE,
        )
        for word in ("submit", "resubmit")
    ),
    calls.route("PUT", f"{_ONE}/close", close_dispute, "Give a dispute up", answered=schemas.DISPUTE),
    calls.route(
        "GET",
        f"{_ONE}/transactions",
        list_transactions,
        "List a dispute's transactions",
        answered=calls.listed(schemas.TRANSACTION),
    ),
    calls.route(
        "GET",
        "/users/{UserId}/disputes",
        list_of_user,
        "List a user's disputes",
        answered=calls.listed(schemas.DISPUTE),
    ),
    calls.route(
        "GET",
        "/wallets/{WalletId}/disputes",
        list_of_wallet,
        "List a wallet's disputes",
        answered=calls.listed(schemas.DISPUTE),
    ),
    calls.route(
        "GET",
        "/payins/{PayInId}/disputes",
        list_of_payin,
        "List a pay-in's disputes",
        answered=calls.listed(schemas.DISPUTE),
    ),
    calls.route(
        "GET",
        "/repudiations/{RepudiationId}",
        view_repudiation,
        "View a repudiation",
        answered=schemas.REPUDIATION,
    ),
    calls.route(
        "GET",
        "/repudiations/{RepudiationId}/refunds",
        list_repudiation_refunds,
        "List the refunds of a repudiation",
        answered=calls.listed(schemas.REFUND),
    ),
)
