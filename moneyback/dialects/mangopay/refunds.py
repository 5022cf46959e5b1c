"""Refunds of pay-ins and of transfers: created, viewed and listed.

Handlers check what the request alone can tell, ask the engine for the rest, and say its answer in Mangopay's words. A
refund that was made natively is listed with the others; its id is the one it was given there.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from moneyback.core.commands import Admitted, Joined, RequestRefund
from moneyback.core.payment import Amounts, Capabilities, Payment, PaymentKind, condition_reasons
from moneyback.core.refund import Refund, State
from moneyback.core.refusals import Failing, Reason, Refusal
from moneyback.dialect import (
    Ask,
    AskRefund,
    Await,
    Caller,
    FindPayment,
    FindRefund,
    Incoming,
    KeepAnswer,
    LoadDocument,
    Outgoing,
    PaymentOf,
    RefundOf,
    RefundsOf,
    SaveDocument,
)
from moneyback.dialects.mangopay import calls, complaints, journal, pages, responses, schemas
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.transactions import RETURN, refund_object, return_object
from moneyback.dialects.mangopay.windows import UNREFUNDABLE, capabilities, method, without_wait
from moneyback.dialects.mangopay.wire import (
    FEE_WALLET_SHORT,
    REFUNDS,
    Wanted,
    author_of,
    born_code,
    initial_credit,
    is_payout,
    money,
    other_author,
    parse_refund,
    result_code,
)

CODES: Final = "mangopay.result_code"  # the kind of document that keeps what a refund's row cannot tell
IN_FRONT: Final = "front"
"""The member of a caller's profile that is there where Moneyback stands in front of Mangopay."""

PRECEDENCE: Final = (
    # HTTP errors
    Reason.PAYMENT_NOT_FOUND,
    Reason.PAYMENT_FAILED,
    Reason.PAYMENT_PROCESSING,
    Reason.PAYMENT_NOT_CAPTURED,
    Reason.AMOUNT_UNKNOWN,
    Reason.PAYMENT_DISPUTED,
    Reason.CURRENCY_MISMATCH,
    Reason.BELOW_MINIMUM,
    Reason.KIND_UNSUPPORTED,
    # kept as FAILED
    Reason.AMOUNT_NOT_POSITIVE,
    Reason.STATE_FORBIDS,
    Reason.WINDOW_CLOSED,
    Reason.WINDOW_NOT_OPEN,
    Reason.ONE_AT_A_TIME,
    Reason.NOTHING_LEFT,
    Reason.EXCEEDS_WALLET_SHARE,
    Reason.EXCEEDS_FEES,
    # The sum of wallet and fees: where there are fees, one of the two above has said it more exactly.
    Reason.EXCEEDS_REFUNDABLE,
    Reason.EQUAL_AMOUNT_TOO_SOON,
    Reason.FULL_UNSUPPORTED,
    Reason.PARTIAL_UNSUPPORTED,
    Reason.FEES_NOT_RETURNABLE,
    Reason.DESTINATION_NEEDED,
    Reason.POLICY_FORBIDS,
    Reason.SECOND_PERSON_NEEDED,
    Reason.INSUFFICIENT_FUNDS,
)
"""Before these come an unknown pay-in and a wrong author; between the two groups, a wrong shape and the bound of a
single amount. The provider documents no order; ours is in docs/dialects/mangopay.md."""


class Refunded(msgspec.Struct, frozen=True):
    """What of a pay-in and of a transfer is called differently where they are refunded."""

    kind: PaymentKind
    name: str
    argument: str
    other_author: Complaint
    over: Complaint
    filled: bool = False  # a body may leave out who asks, and the fees


PAYIN: Final = Refunded(PaymentKind.PAYIN, "PayIn", "PayInId", complaints.OTHER_AUTHOR, complaints.OVER_CREDITED)
TRANSFER: Final = Refunded(
    PaymentKind.TRANSFER,
    "Transfer",
    "TransferId",
    complaints.OTHER_TRANSFER_AUTHOR,
    complaints.OVER_TRANSFERRED,
)


ACQUIRED: Final = msgspec.structs.replace(PAYIN, filled=True)
"""A pay-in by the path of the newer product, whose bodies say less."""


# --- created ---------------------------------------------------------------------------------------------------------


def creates(what: Refunded) -> calls.Handler:
    """The handler that refunds such a payment.

    It answers an error that created nothing, or 200 with the refund as it stands after at most ten seconds.
    """

    def create_refund(incoming: Incoming, _caller: Caller) -> Answer:
        asked = yield from _asked(incoming, what)
        return (yield from admit(incoming, asked))

    return create_refund


def admit(incoming: Incoming, asked: AskRefund | Complaint) -> Answer:
    """Ask the engine, under the client's key where there is one."""
    key = incoming.headers.get("idempotency-key")
    if key is None:
        return (yield from _admit(asked))
    if not responses.FORM.fullmatch(key):
        return complaints.BAD_KEY
    return (yield from _admit_under(key, incoming, asked))


def _admit(asked: AskRefund | Complaint) -> Answer:
    if isinstance(asked, Complaint):
        return asked
    result = yield asked
    if isinstance(result, Refusal):
        return responses.complaint_of(result)
    refund, payment, code = yield from _ended(result)
    yield from journal.enter_refund(refund, payment)
    return Outgoing(body=refund_object(refund, payment, code))


def _admit_under(key: str, incoming: Incoming, asked: AskRefund | Complaint) -> Answer:
    """The same under an Idempotency-Key: whatever is answered, an error too, uses the key up."""
    stamp = yield from calls.stamp(incoming)
    address = responses.called(incoming)
    if isinstance(asked, Complaint):
        fresh = yield from responses.take(key, asked, address, stamp)
        return complaints.said(asked if fresh else complaints.KEY_USED, stamp)
    under = yield from responses.ask_under(key, asked, address, stamp)
    if under is None:
        return complaints.said(complaints.KEY_USED, stamp)
    row, result = under
    if isinstance(result, Refusal):
        return complaints.said(responses.complaint_of(result), stamp)
    refund, payment, code = yield from _ended(result)
    yield KeepAnswer(row, *responses.stored_refund(refund, payment, code, address))
    yield from journal.enter_refund(refund, payment)
    return Outgoing(body=refund_object(refund, payment, code))


def _asked(incoming: Incoming, what: Refunded) -> Generator[Ask, Any, AskRefund | Complaint]:
    """What is asked of the engine, or the first thing that the request and its payment show to be wrong."""
    identity = incoming.arguments[what.argument]
    payment: Payment | None = yield FindPayment(identity)
    if payment is None or payment.kind is not what.kind:
        return complaints.not_found(what.name, identity)
    body = _filled(incoming.body, payment) if what.filled else incoming.body
    wanted = parse_refund(body, payment)
    complaint = what.other_author if other_author(body, payment) else _at_sight(wanted, payment, what)
    if complaint is not None:
        return complaint
    assert isinstance(wanted, Wanted)
    remembered = {"Tag": wanted.tag, "StatementDescriptor": wanted.descriptor, "AuthorId": wanted.author}
    return AskRefund(
        payment=payment,
        asked=wanted.asked,
        currency=payment.currency,
        request=remembered,
        capabilities=_lifted(wanted, payment),
    )


def _filled(body: Any, payment: Payment) -> Any:
    members = body if isinstance(body, dict) else {}
    filled = {"AuthorId": author_of(payment), **members}
    if members.get("DebitedFunds") is not None and members.get("Fees") is None:
        filled["Fees"] = money(0, payment.currency)
    return filled


def _lifted(wanted: Wanted, payment: Payment) -> Callable[[Payment], Capabilities] | None:
    """What the Sandbox's tag does for a direct debit that is too young."""
    return without_wait if wanted.tag == "ignore_mindate" and payment.rail.startswith("sandbox") else None


def _at_sight(wanted: Wanted | dict[str, str], payment: Payment, what: Refunded) -> Complaint | None:
    """A missing author, then state, then dispute, then shape, then the bound of a single amount.

    State and dispute are decided again under the lock; here they only come before what is wrong with the amounts.
    """
    errors = wanted if isinstance(wanted, dict) else {}
    if "AuthorId" in errors:
        return complaints.parameters(errors)
    if condition_reasons(payment):
        return complaints.NOT_SUCCEEDED
    if payment.disputed and capabilities(payment).blocked_by_dispute:
        return complaints.DISPUTED
    if errors:
        return complaints.parameters(errors)
    assert isinstance(wanted, Wanted)
    if wanted.asked.wallet is not None and wanted.asked.wallet > initial_credit(payment):
        return what.over
    if payment.kind is PaymentKind.TRANSFER and payment.refunded and not payment.refundable:
        return complaints.TRANSFER_REFUNDED
    return None


def _ended(result: Admitted | Joined) -> Generator[Ask, Any, tuple[Refund, Payment, str | None]]:
    """The refund as it can be answered now, with its code: a kept refusal at once, all else after the wait."""
    refusal = result.refusal if isinstance(result, Admitted) else None
    if refusal is None:
        refund, payment = yield Await(result.refund, responses.WAIT)
        return refund, payment, result_code(refund)
    code = born_code(refusal.first, result.payment)
    if code == FEE_WALLET_SHORT:
        yield SaveDocument(CODES, result.refund.dialect_id, {"ResultCode": code})
    return result.refund, result.payment, code


def check(payment: Payment, _amounts: Amounts, command: RequestRefund) -> list[Failing]:
    """Mangopay's own rules beyond capabilities, kept as 005408 and 001401.

    Money that was clawed back, or is disputed on PayPal's own side, was repudiated; a default refund of a pay-in with
    nothing left to give was refunded already. What came in by wire goes back by a payout, and not otherwise.
    """
    failing = list[Failing]()
    if payment.clawed_back or (payment.disputed and method(payment) == "PAYPAL"):
        figures = {"clawed_back": payment.clawed_back, "disputed": payment.disputed}
        failing.append(Failing(Reason.STATE_FORBIDS, figures))
    if command.asked.initial and not payment.refundable:
        failing.append(Failing(Reason.NOTHING_LEFT, {"refundable": 0}))
    if method(payment) in UNREFUNDABLE and "BankAccountId" not in command.request:
        failing.append(Failing(Reason.KIND_UNSUPPORTED, {"method": payment.method}))
    return failing


# --- read back -------------------------------------------------------------------------------------------------------


def view_refund(incoming: Incoming, _caller: Caller) -> Answer:
    """One refund, by the id it was given or the provider's; what came back of a payout too."""
    identity = incoming.arguments["RefundId"]
    found = yield from find(identity)
    if found is None or is_payout(found[0]) is not identity.startswith(RETURN):
        return complaints.not_found("Refund", identity)
    return Outgoing(body=(yield from shown_as(identity, *found)))


def find(identity: str) -> Generator[Ask, Any, tuple[Refund, Payment] | None]:
    """The refund with this id, and what it refunds. One made natively has no other id than its own.

    The id of a payout that came back finds that payout.
    """
    refund: Refund | None = yield FindRefund(identity)
    if refund is None and (own := _own_id(identity)) is not None:
        refund = yield RefundOf(own)
        if refund is not None and identity.startswith(RETURN):
            refund = refund if came_back(refund) else None
    if refund is None:
        return None
    payment: Payment = yield PaymentOf(refund.payment)
    return (refund, payment) if payment.dialect == responses.DIALECT else None


def _own_id(identity: str) -> UUID | None:
    """The id in a return's, or the form in which a refund made natively has its id here."""
    digits = identity.removeprefix(RETURN)
    try:
        found = UUID(digits)
    except ValueError:
        return None
    return found if digits == (found.hex if digits is identity else str(found)) else None


def came_back(refund: Refund) -> bool:
    """Whether it is a payout whose money is back."""
    return is_payout(refund) and refund.state is State.RETURNED


def lists(what: Refunded) -> calls.Handler:
    """The handler that lists the refunds of such a payment, failed ones too.

    In front of Mangopay those made natively are among the refunds that it shows.
    """

    def list_refunds(incoming: Incoming, caller: Caller) -> Answer:
        identity = incoming.arguments[what.argument]
        payment: Payment | None = yield FindPayment(identity)
        if payment is None or payment.kind is not what.kind:
            return complaints.not_found(what.name, identity)
        if payment.document.get(REFUNDS):
            return (yield from _with_theirs(incoming, payment))
        listing = pages.parse_listing(incoming)
        if isinstance(listing, dict):
            return complaints.parameters(listing)
        made: tuple[Refund, ...] = yield RefundsOf(payment.id)
        natively = not caller.profile.get(IN_FRONT)
        ours = [each for each in made if not is_payout(each) and (natively or each.dialect == payment.dialect)]
        found = pages.chosen((yield from _all_shown(ours, payment)), listing)
        return pages.answer(incoming, listing, pages.page(found, listing), len(found))

    return list_refunds


def _all_shown(made: Sequence[Refund], payment: Payment) -> Generator[Ask, Any, list[dict[str, Any]]]:
    rows = []
    for refund in made:
        row = yield from shown(refund, payment)
        rows.append(row)
    return rows


def _with_theirs(incoming: Incoming, payment: Payment) -> Answer:
    """Refunds of ours, and in between those that Mangopay shows and that were made elsewhere, in its own order."""
    listing = pages.parse_listing(incoming)
    if isinstance(listing, dict):
        return complaints.parameters(listing)
    made: tuple[Refund, ...] = yield RefundsOf(payment.id)
    ours = [each for each in made if each.dialect == payment.dialect and not is_payout(each)]
    theirs = payment.document[REFUNDS]
    place = {row["Id"]: (row.get("CreationDate") or 0, number) for number, row in enumerate(theirs)}
    rows = {place[row["Id"]]: row for row in elsewhere(theirs, ours)}
    for number, refund in enumerate(ours, start=len(theirs)):
        row = yield from shown(refund, payment)
        rows[place.get(refund.provider_id, (row["CreationDate"], number))] = row
    found = pages.chosen([rows[each] for each in sorted(rows)], listing)
    return pages.answer(incoming, listing, pages.page(found, listing), len(found))


def elsewhere(theirs: Sequence[Mapping[str, Any]], ours: Sequence[Refund]) -> list[dict[str, Any]]:
    """Of the refunds that the provider shows, those that are none of ours.

    One in doubt has not been told its id: of those with its amounts, one is taken to be it.
    """
    known = {each.provider_id for each in ours}
    nameless = [each for each in ours if each.provider_id is None and each.generation and not each.ended]
    doubtful = [(each.wallet, -each.fee_return) for each in nameless]
    found = []
    for row in theirs:
        amounts = (row["DebitedFunds"]["Amount"], row["Fees"]["Amount"])
        if row["Id"] in known:
            continue
        if amounts in doubtful:
            doubtful.remove(amounts)
            continue
        found.append(dict(row))
    return found


def shown_as(identity: str, refund: Refund, payment: Payment) -> Generator[Ask, Any, dict[str, Any]]:
    """What an id means of a refund: itself, or what came back of it."""
    if identity.startswith(RETURN):
        return return_object(refund, payment)
    return (yield from shown(refund, payment))


def shown(refund: Refund, payment: Payment) -> Generator[Ask, Any, dict[str, Any]]:
    """A refund as it stands."""
    code = result_code(refund)
    if refund.failure == Reason.INSUFFICIENT_FUNDS.value:
        kept = yield LoadDocument(CODES, refund.dialect_id)
        code = kept["ResultCode"] if kept else code
    return refund_object(refund, payment, code)


ROUTES: Final = (
    calls.route(
        "POST",
        "/payins/{PayInId}/refunds",
        creates(PAYIN),
        "Refund a pay-in, in full or in part",
        kind="guarded",
        asked=schemas.REFUND_REQUEST,
        answered=schemas.REFUND,
        keyed=False,
    ),
    calls.route(
        "POST",
        "/acquiring/payins/{PayInId}/refunds",
        creates(ACQUIRED),
        "Refund a pay-in by the newer path, which needs no author and no fees",
        kind="guarded",
        asked=schemas.optional(schemas.REFUND_REQUEST),
        answered=schemas.REFUND,
        keyed=False,
    ),
    calls.route(
        "GET",
        "/payins/{PayInId}/refunds",
        lists(PAYIN),
        "List the refunds of a pay-in",
        kind="owned",
        answered=calls.listed(schemas.REFUND),
    ),
    calls.route(
        "POST",
        "/transfers/{TransferId}/refunds",
        creates(TRANSFER),
        "Refund a transfer, in full or in part",
        kind="guarded",
        asked=schemas.REFUND_REQUEST,
        answered=schemas.REFUND,
        keyed=False,
    ),
    calls.route(
        "GET",
        "/transfers/{TransferId}/refunds",
        lists(TRANSFER),
        "List the refunds of a transfer",
        kind="owned",
        answered=calls.listed(schemas.REFUND),
    ),
    calls.route("GET", "/refunds/{RefundId}", view_refund, "View a refund", kind="owned", answered=schemas.REFUND),
)
