"""Mangopay as we serve it: tokens, pay-in refunds, and what a client reads back.

Handlers check what the request alone can tell, ask the engine for the rest, and say its answer in Mangopay's words.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Generator
from typing import Any, Final

from moneyback.core.commands import Admitted, Joined, RequestRefund
from moneyback.core.payment import Amounts, Payment, condition_reasons
from moneyback.core.refund import Refund
from moneyback.core.refusals import Failing, Reason, Refusal
from moneyback.dialect import (
    Ask,
    AskRefund,
    Await,
    Caller,
    Conversation,
    FindPayment,
    FindRefund,
    Incoming,
    Instant,
    IssueToken,
    KeepAnswer,
    LoadDocument,
    NewId,
    Outgoing,
    PaymentOf,
    Presented,
    RefundsOf,
    Route,
    SaveDocument,
)
from moneyback.dialects.mangopay import complaints, pages, responses, schemas
from moneyback.dialects.mangopay.complaints import Complaint, Stamp
from moneyback.dialects.mangopay.windows import capabilities, method, without_wait
from moneyback.dialects.mangopay.wire import (
    FEE_WALLET_SHORT,
    Wanted,
    born_code,
    initial_credit,
    other_author,
    parse_refund,
    payin_object,
    refund_object,
    result_code,
)

TOKEN_LIFE: Final = 1200  # seconds, the Sandbox's; one less is announced (provider docs: authentication)
CODES: Final = "mangopay.result_code"  # the kind of document that keeps what a refund's row cannot tell

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


# --- who asks --------------------------------------------------------------------------------------------------------


def presented(incoming: Incoming) -> Presented | None:
    """The credentials of a request: Basic for a token, a bearer token or Basic for the rest.

    The scheme is read without case: clients send back the `bearer` they were given.
    """
    scheme, _, value = incoming.headers.get("authorization", "").strip().partition(" ")
    value = value.strip()
    match scheme.lower():
        case "basic":
            return _basic(value)
        case "bearer" if value and not complaints.is_token(incoming.path):
            return Presented(secret=value)
        case _:
            return None


def _basic(value: str) -> Presented | None:
    try:
        user, colon, secret = b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return Presented(secret=secret, user=user) if colon and secret else None


def issue_token(incoming: Incoming, _caller: Caller) -> Conversation:
    """A new token for credentials that the mount has checked; whatever form the body has, they are what counts."""
    body = incoming.body if isinstance(incoming.body, dict) else {}
    if body.get("grant_type", "client_credentials") != "client_credentials":
        return Outgoing(status=400, body={"error": "unsupported_grant_type"})
    token = yield IssueToken(TOKEN_LIFE)
    answer = {"access_token": token, "token_type": "bearer", "expires_in": TOKEN_LIFE - 1}
    return Outgoing(body=answer, headers={"Cache-Control": "no-store"})


def _stranger(incoming: Incoming, caller: Caller) -> bool:
    """Whether the path names another client than the one whose credentials these are."""
    own = caller.profile.get("client_id")
    return own is not None and own != incoming.arguments["ClientId"]


# --- a refund --------------------------------------------------------------------------------------------------------


def create_refund(incoming: Incoming, caller: Caller) -> Conversation:
    """Refund a pay-in: an error that created nothing, or 200 with the refund as it stands after at most ten seconds."""
    if _stranger(incoming, caller):
        return complaints.invalid_credentials((yield from _stamp(incoming)).at)
    key = incoming.headers.get("idempotency-key")
    if key is None:
        return (yield from _create(incoming))
    if not responses.FORM.fullmatch(key):
        return complaints.said(complaints.BAD_KEY, (yield from _stamp(incoming)))
    return (yield from _create_under(key, incoming))


def _create(incoming: Incoming) -> Conversation:
    asked = yield from _asked(incoming)
    if isinstance(asked, Complaint):
        return complaints.said(asked, (yield from _stamp(incoming)))
    result = yield asked
    if isinstance(result, Refusal):
        return complaints.said(responses.complaint_of(result), (yield from _stamp(incoming)))
    refund, payment, code = yield from _ended(result)
    return Outgoing(body=refund_object(refund, payment, code))


def _create_under(key: str, incoming: Incoming) -> Conversation:
    """The same under an Idempotency-Key: whatever is answered, an error too, uses the key up."""
    stamp = yield from _stamp(incoming)
    address = responses.refunds_url(incoming, incoming.arguments["PayInId"])
    asked = yield from _asked(incoming)
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
    return Outgoing(body=refund_object(refund, payment, code))


def _asked(incoming: Incoming) -> Generator[Ask, Any, AskRefund | Complaint]:
    """What is asked of the engine, or the first thing that the request and its pay-in show to be wrong."""
    identity = incoming.arguments["PayInId"]
    payment: Payment | None = yield FindPayment(identity)
    if payment is None:
        return complaints.not_found("PayIn", identity)
    wanted = parse_refund(incoming.body, payment)
    complaint = complaints.OTHER_AUTHOR if other_author(incoming.body, payment) else _at_sight(wanted, payment)
    if complaint is not None:
        return complaint
    assert isinstance(wanted, Wanted)
    lifted = wanted.tag == "ignore_mindate" and payment.rail.startswith("sandbox")
    remembered = {"Tag": wanted.tag, "StatementDescriptor": wanted.descriptor, "AuthorId": wanted.author}
    return AskRefund(
        payment=payment,
        asked=wanted.asked,
        currency=payment.currency,
        request=remembered,
        capabilities=without_wait if lifted else None,
    )


def _at_sight(wanted: Wanted | dict[str, str], payment: Payment) -> Complaint | None:
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
        return complaints.OVER_CREDITED
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
    nothing left to give was refunded already.
    """
    failing = list[Failing]()
    if payment.clawed_back or (payment.disputed and method(payment) == "PAYPAL"):
        figures = {"clawed_back": payment.clawed_back, "disputed": payment.disputed}
        failing.append(Failing(Reason.STATE_FORBIDS, figures))
    if command.asked.initial and not payment.refundable:
        failing.append(Failing(Reason.NOTHING_LEFT, {"refundable": 0}))
    return failing


# --- what is read back -----------------------------------------------------------------------------------------------


def view_refund(incoming: Incoming, caller: Caller) -> Conversation:
    """One refund, by the id it was given or the provider's."""
    if _stranger(incoming, caller):
        return complaints.invalid_credentials((yield from _stamp(incoming)).at)
    identity = incoming.arguments["RefundId"]
    refund: Refund | None = yield FindRefund(identity)
    if refund is None:
        return complaints.said(complaints.not_found("Refund", identity), (yield from _stamp(incoming)))
    payment = yield PaymentOf(refund.payment)
    return Outgoing(body=(yield from _shown(refund, payment)))


def view_payin(incoming: Incoming, caller: Caller) -> Conversation:
    """One pay-in, whatever its payment method. Its refunds do not change it."""
    found = yield from _payin(incoming, caller)
    return found if isinstance(found, Outgoing) else Outgoing(body=payin_object(found))


def list_refunds(incoming: Incoming, caller: Caller) -> Conversation:
    """The refunds of a pay-in, failed ones too."""
    payment = yield from _payin(incoming, caller)
    if isinstance(payment, Outgoing):
        return payment
    listing = pages.parse_listing(incoming)
    if isinstance(listing, dict):
        return complaints.said(complaints.parameters(listing), (yield from _stamp(incoming)))
    refunds: tuple[Refund, ...] = yield RefundsOf(payment.id)
    rows = list[dict[str, Any]]()
    for refund in refunds:
        rows.append((yield from _shown(refund, payment)))
    found = pages.chosen(rows, listing)
    address = responses.refunds_url(incoming, payment.dialect_id)
    headers = pages.headers(len(found), listing, incoming, address)
    return Outgoing(body=pages.page(found, listing), headers=headers)


def view_response(incoming: Incoming, caller: Caller) -> Conversation:
    """What was answered under an Idempotency-Key in the last 24 hours; stored errors come with 200 too."""
    stamp = yield from _stamp(incoming)
    if _stranger(incoming, caller):
        return complaints.invalid_credentials(stamp.at)
    key = incoming.arguments["IdempotencyKey"]
    answer = (yield from responses.fetch(key, incoming, stamp.at)) if responses.FORM.fullmatch(key) else None
    return complaints.said(complaints.KEY_UNKNOWN, stamp) if answer is None else Outgoing(body=answer)


def _payin(incoming: Incoming, caller: Caller) -> Generator[Ask, Any, Payment | Outgoing]:
    if _stranger(incoming, caller):
        return complaints.invalid_credentials((yield from _stamp(incoming)).at)
    identity = incoming.arguments["PayInId"]
    payment: Payment | None = yield FindPayment(identity)
    if payment is None:
        return complaints.said(complaints.not_found("PayIn", identity), (yield from _stamp(incoming)))
    return payment


def _shown(refund: Refund, payment: Payment) -> Generator[Ask, Any, dict[str, Any]]:
    code = result_code(refund)
    if refund.failure == Reason.INSUFFICIENT_FUNDS.value:
        kept = yield LoadDocument(CODES, refund.dialect_id)
        code = kept["ResultCode"] if kept else code
    return refund_object(refund, payment, code)


def _stamp(incoming: Incoming) -> Generator[Ask, Any, Stamp]:
    at = incoming.at if incoming.at is not None else (yield Instant())
    identity = incoming.id or str((yield NewId()))
    return Stamp(identity, at)


ROUTES: Final = (
    Route(
        method="POST",
        path="/v2.01/oauth/token",
        handle=issue_token,
        accepts=("form", "json", "multipart"),
        summary="Get a token for the client's credentials (Basic)",
        request_schema=schemas.TOKEN_REQUEST,
        response_schema=schemas.TOKEN,
    ),
    Route(
        method="POST",
        path="/v2.01/{ClientId}/oauth/token",
        handle=issue_token,
        accepts=("form", "json", "multipart"),
        summary="The same, for clients that put the ClientId into the path",
        request_schema=schemas.TOKEN_REQUEST,
        response_schema=schemas.TOKEN,
    ),
    Route(
        method="POST",
        path="/v2.01/{ClientId}/payins/{PayInId}/refunds",
        handle=create_refund,
        kind="guarded",
        summary="Refund a pay-in, in full or in part",
        request_schema=schemas.REFUND_REQUEST,
        response_schema=schemas.REFUND,
    ),
    Route(
        method="GET",
        path="/v2.01/{ClientId}/payins/{PayInId}/refunds",
        handle=list_refunds,
        summary="List the refunds of a pay-in",
        response_schema={"type": "array", "items": schemas.REFUND},
    ),
    Route(
        method="GET",
        path="/v2.01/{ClientId}/payins/{PayInId}",
        handle=view_payin,
        summary="View a pay-in",
        response_schema=schemas.PAYIN,
    ),
    Route(
        method="GET",
        path="/v2.01/{ClientId}/refunds/{RefundId}",
        handle=view_refund,
        summary="View a refund",
        response_schema=schemas.REFUND,
    ),
    Route(
        method="GET",
        path="/v2.01/{ClientId}/responses/{IdempotencyKey}",
        handle=view_response,
        summary="Fetch the answer that was given under an Idempotency-Key",
        response_schema=schemas.RESPONSE,
    ),
)
