"""The native API's endpoints: one table, from which requests are routed and OpenAPI is drawn.

A handler is given who asks and what was asked, in decoded form, and returns a status with a body. Bodies are read by
the one decoder, straight from the wire: these are the hot routes.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec

from moneyback.api.asgi import JSON, encode_json
from moneyback.api.problems import PROBLEM, problem, reasons, refused
from moneyback.api.views import (
    DeliveryView,
    EndpointView,
    EventView,
    FindingView,
    HistoryView,
    MovementView,
    OrderRefundView,
    PaymentView,
    RailView,
    RefundabilityView,
    RefundView,
    SeenView,
    delivery_view,
    endpoint_view,
    event_view,
    finding_view,
    history_view,
    movement_view,
    payment_view,
    rail_view,
    refund_view,
    seen_view,
)
from moneyback.core.admission import refundability
from moneyback.core.commands import (
    Admitted,
    CloseCase,
    Grouped,
    Joined,
    Keyed,
    Moved,
    Nudge,
    Replayed,
    RequestOrderRefund,
    RequestRefund,
    Resolve,
    ResolveRelease,
    Result,
    SaveAnswer,
    Saved,
    Standing,
)
from moneyback.core.money import MINOR_MAX, split
from moneyback.core.money import currency as known_currency
from moneyback.core.naming import DELIVERY, ENDPOINT, ORDER_REFUND, PAYMENT, REFUND, inward, outward
from moneyback.core.payment import Asked, Parts, Payment
from moneyback.core.records import EventRow
from moneyback.core.refund import Event, Refund, State
from moneyback.core.refusals import Reason, Refusal, refuse
from moneyback.dialect import AddPayment
from moneyback.flows.add_payment import NATIVE, add_payment
from moneyback.flows.await_answer import await_answer
from moneyback.flows.keep_endpoint import (
    EndpointRefused,
    keep_endpoint,
    known_endpoints,
    remove_endpoint,
    rotate_secret,
)
from moneyback.flows.keep_rail import RailRefused, keep_rail
from moneyback.flows.request_refund import (
    SETTLING,
    admit_refund,
    await_refund,
    landing,
    request_order_refund,
    request_refund,
)
from moneyback.flows.world import World
from moneyback.messenger import Astray, demand_address
from moneyback.store.access import SCOPES
from moneyback.store.figures import money_in_doubt, open_findings
from moneyback.store.news import News
from moneyback.store.port import Cursor, StoreUnavailable
from moneyback.store.postgres import PostgresStore
from moneyback.store.rails import AccountTaken, RailBook
from moneyback.store.reads import PaymentsAsked, Place, Reads, RefundsAsked

WAIT_S: Final = 10.0
WAIT_S_MAX: Final = 60.0
ANSWER_SLACK: Final = timedelta(seconds=5)
KEY_BYTES_MAX: Final = 255
KEY_NEEDED: Final = "refunds of real money need an Idempotency-Key"
CASE_DIGITS_MAX: Final = 9
PAGE: Final = 50
PAGE_MAX: Final = 500
ANOTHER_PAST: Final = (
    "The database was restored, or another server took over, since this cursor was given out: events may have been "
    "forgotten. Read the log again without a cursor; events you know have the ids you know."
)
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""Between these lie all moments a client may name: any time that is added to one is still a date."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
"""A text things are found by: no longer than what an index holds."""
Address = Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
Words = Annotated[str, msgspec.Meta(max_length=4000)]
Script = Annotated[str, msgspec.Meta(max_length=500)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class BadRequest(Exception):
    """The request's shape is wrong; the message says how, for the person who wrote it."""


class NoMasterKey(Exception):
    """This process has no master key: what is sealed can neither be kept nor shown."""


class Asker(msgspec.Struct, frozen=True):
    """Who asks, once their key is known."""

    merchant: UUID
    name: str
    scopes: frozenset[str]


class Asking(msgspec.Struct, frozen=True):
    """One request to the native API."""

    method: str
    path: str
    arguments: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


class Answer(msgspec.Struct, frozen=True):
    """One answer: bytes that are ready to be sent."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    media_type: bytes = b""

    def __post_init__(self) -> None:
        if not self.media_type:  # problems say that they are problems
            msgspec.structs.force_setattr(self, "media_type", PROBLEM if self.status >= 400 else JSON)


class Surface(msgspec.Struct, frozen=True):
    """What handlers reach."""

    world: World
    reads: Reads
    store: PostgresStore
    news: News
    book: RailBook | None = None  # None: this process has no master key, and rails stay as they are
    near: bool = False  # clients' own programs may lie on this machine or in a private network


Handler = Callable[[Surface, Asker, Asking], Awaitable[Answer]]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One route. `takes` and `gives` are the types its bodies are described by; a list comes in pages."""

    method: str
    path: str
    scope: str
    handle: Handler
    summary: str
    gives: Any
    takes: Any = None
    statuses: tuple[int, ...] = (200,)
    query: tuple[str, ...] = ()
    keyed: bool = False


# --- what is asked ---------------------------------------------------------------------------------------------------


class NewRefund(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A refund to be made. `amount` is what the payer gets, in minor units; without it, all that remains."""

    amount: int | None = None
    currency: Name | None = None
    fee_refund: Literal["proportional", "none"] | int = "proportional"
    allow_remainder: bool = False
    expected_refundable: int | None = None
    reason: Words | None = None
    reference: Words | None = None
    requested_by: Words | None = None
    metadata: dict[str, Any] = {}
    scheduled_for: Moment | None = None
    destination: Words | None = None
    scenario: Script | None = None


class NewOrderRefund(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A refund of a whole order. `amount` is split over its payments by what each can still give back."""

    dialect: Name = NATIVE
    amount: int | None = None
    currency: Name | None = None
    fee_refund: Literal["proportional", "none"] = "proportional"
    allow_remainder: bool = True
    reason: Words | None = None
    reference: Words | None = None
    requested_by: Words | None = None
    metadata: dict[str, Any] = {}
    destination: Words | None = None


class NewPayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money that came in. `amount` is what was captured (or authorised, with that status), in minor units."""

    amount: int
    currency: Name
    dialect: Name = NATIVE
    rail: Name = "sandbox"
    status: Literal["captured", "authorized", "processing", "failed"] = "captured"
    method: Name | None = None
    order: Name | None = None
    fees: int = 0
    parts: Parts | None = None
    reference: Name | None = None
    captured_at: Moment | None = None
    scenario: Script | None = None
    metadata: dict[str, Any] = {}
    dialect_data: dict[str, Any] = {}


class Answered(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's answer to doubt, given to the evidence of that version."""

    outcome: Literal["executed", "not_sent"]
    evidence_version: int
    note: Words


class Noted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A word on why."""

    note: Words | None = None


class Closing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a case can be closed."""

    note: Words


class NewRail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account at a real provider. Added again under its name, it is changed; it stays on its account."""

    name: Name
    connector: Name
    account: Name
    base_url: Name
    credentials: dict[str, str]
    duplicates: Literal["join", "faithful"] = "join"
    at_once: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    per_second: Annotated[float, msgspec.Meta(ge=0.2, le=1000)] = 10.0
    drift_every_s: Annotated[int, msgspec.Meta(ge=10, le=86_400)] = 300


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An empty object, or no body at all."""


class NewEndpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a program of the merchant's is to be told of events; without `events`, of all.

    `secret` and `headers` belong to a `dialect`'s endpoint; a native one's secret is drawn, and shown once.
    """

    url: Address
    dialect: Name = NATIVE
    events: Annotated[list[Name], msgspec.Meta(max_length=64)] = []
    description: Words = ""
    secret: Name | None = None
    headers: Annotated[dict[str, Words], msgspec.Meta(max_length=16)] = {}


class Rotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another secret for an endpoint. `secret` is given for a dialect's alone."""

    secret: Name | None = None


# --- refunds ---------------------------------------------------------------------------------------------------------


async def create_refund(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """Admit a refund, begin to send it, and answer once it left ready and sending, or at the wait limit."""
    payment_id = inward(PAYMENT, asking.arguments["id"])
    if payment_id is None:
        return _refused(refuse(Reason.PAYMENT_NOT_FOUND))
    asked = _shaped(asking.body, NewRefund)
    wait = _wait_of(asking)
    _check_scenario(asked.scenario)
    command = RequestRefund(
        merchant=asker.merchant,
        id=surface.world.new_id(),
        payment=payment_id,
        dialect=NATIVE,
        terms=surface.world.native_terms,
        asked=Asked(payer=asked.amount, fee=asked.fee_refund),
        currency=asked.currency,
        expected_refundable=asked.expected_refundable,
        allow_remainder=asked.allow_remainder or asked.amount is None,
        reason=asked.reason,
        reference=asked.reference,
        requested_by=asked.requested_by or asker.name,
        destination=asked.destination,
        scenario=asked.scenario,
        due_at=_within_time(asked.scheduled_for, "scheduled_for"),
        metadata=asked.metadata,
        key=_keyed(asking, wait, _created(wait is None)),
    )
    if command.key is None and await _is_real(surface, asker, payment_id):
        raise BadRequest(KEY_NEEDED)
    command = msgspec.structs.replace(command, dialect_id=command.id.hex)
    result = await (admit_refund if wait is None else request_refund)(surface.world, command)
    return await _answer(surface, asker, command.key, result, wait)


async def _at_home(surface: Surface, payment: Payment, leg: RequestRefund) -> RequestRefund:
    """A leg as its payment's dialect shows it. The commit draws a number for a command, and so none for a leg."""
    home = surface.world.native_terms(payment).home
    if home is None:
        return leg
    number = str(await surface.reads.next_number(home.dialect))
    request = home.remember(payment, leg.reference)
    return msgspec.structs.replace(leg, dialect=home.dialect, dialect_id=number, request=request)


async def _is_real(surface: Surface, asker: Asker, payment_id: UUID) -> bool:
    payment = await surface.world.store.payment(asker.merchant, payment_id)
    return payment is not None and surface.world.rail(asker.merchant, payment.rail).real


async def create_order_refund(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """Refund every payment of an order, all or nothing."""
    asked = _shaped(asking.body, NewOrderRefund)
    wait, reference = _wait_of(asking), asking.arguments["id"]
    payments = await surface.reads.payments_of_order(asker.merchant, asked.dialect, reference)
    if not payments:
        return _refused(refuse(Reason.ORDER_NOT_FOUND, order=reference))
    group = surface.world.new_id()
    amounts = _leg_amounts(payments, asked.amount)
    legs = tuple(
        [
            await _at_home(
                surface,
                payment,
                RequestRefund(
                    merchant=asker.merchant,
                    id=(leg := surface.world.new_id()),
                    payment=payment.id,
                    dialect=NATIVE,
                    dialect_id=leg.hex,
                    terms=surface.world.native_terms,
                    asked=Asked(payer=amount, fee=asked.fee_refund),
                    currency=asked.currency,
                    allow_remainder=asked.allow_remainder,
                    reason=asked.reason,
                    reference=asked.reference,
                    requested_by=asked.requested_by or asker.name,
                    destination=asked.destination,
                    group=group,
                    metadata=asked.metadata,
                ),
            )
            for payment, amount in zip(payments, amounts, strict=True)
        ]
    )
    key = _keyed(asking, wait, _created(wait is None))
    if key is None and any(surface.world.rail(asker.merchant, each.rail).real for each in payments):
        raise BadRequest(KEY_NEEDED)
    spent = [outward(PAYMENT, each.id) for each in payments if each.captured and not each.refundable]
    if spent and (key is None or await _is_unused(surface, asker, key)):
        return _refused(refuse(Reason.NOTHING_LEFT, payments=spent))
    command = RequestOrderRefund(
        merchant=asker.merchant, id=group, dialect=asked.dialect, reference=reference, legs=legs, key=key
    )
    result = await request_order_refund(surface.world, command)
    return await _answer(surface, asker, key, result, wait)


async def read_refund(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """One refund as it stands."""
    id = inward(REFUND, asking.arguments["id"])
    refund = await surface.world.store.refund(asker.merchant, id) if id is not None else None
    return _refused(refuse(Reason.REFUND_NOT_FOUND)) if refund is None else _json(200, refund_view(refund))


async def list_refunds(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """A merchant's refunds, newest first; of one payment or order, in certain states, or by the provider's id."""
    query = asking.query
    payment = query.get("payment")
    payment_id = inward(PAYMENT, payment) if payment else None
    if payment and payment_id is None:
        return _page([], None)
    found = await surface.reads.list_refunds(
        asker.merchant,
        RefundsAsked(
            payment=payment_id,
            order=query.get("order"),
            provider_id=query.get("provider_id"),
            states=_states(query.get("state")),
            after=_place(query),
            limit=_limit(query),
        ),
    )
    return _page([refund_view(each) for each in found.rows], found.next)


async def list_doubt(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """Refunds whose outcome a person may have to say, longest waiting first."""
    found = await surface.reads.refunds_for_people(asker.merchant, _limit(asking.query))
    return _page([refund_view(each) for each in found], None)


async def list_doubtful_releases(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """Payments with a release whose outcome a person may have to say, longest waiting first."""
    found = await surface.reads.releases_for_people(asker.merchant, _limit(asking.query))
    return _page([payment_view(each) for each in found], None)


async def refund_evidence(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """What was seen of a refund, and every attempt to send it."""
    id = inward(REFUND, asking.arguments["id"])
    refund = await surface.world.store.refund(asker.merchant, id) if id is not None else None
    if refund is None:
        return _refused(refuse(Reason.REFUND_NOT_FOUND))
    seen = await surface.reads.evidence_of_refund(asker.merchant, refund.id)
    attempts = await surface.reads.attempts_of(asker.merchant, refund.id)
    return _json(200, seen_view(refund, seen, attempts))


async def cancel_refund(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """Withdraw a refund that was not sent."""
    return await _nudge(surface, asker, asking, Event.WITHDRAWN)


async def approve_refund(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """Let a refund that waits for a second person go ahead; its requester cannot."""
    return await _nudge(surface, asker, asking, Event.APPROVED)


async def reject_refund(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """Turn down a refund that waits for a second person."""
    return await _nudge(surface, asker, asking, Event.REJECTED)


async def resolve_refund(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """Say what became of a refund in doubt: executed, or (after the horizon) not sent."""
    asked = _shaped(asking.body, Answered)
    refund = await _own_refund(surface, asker, asking)
    if isinstance(refund, Answer):
        return refund
    key = _keyed(asking, 0.0, _changed)
    result = await surface.world.store.submit(
        Resolve(
            merchant=asker.merchant,
            refund=refund.id,
            payment=refund.payment,
            executed=asked.outcome == "executed",
            evidence_version=asked.evidence_version,
            evidence=surface.world.new_id(),
            by=asker.name,
            note=asked.note,
            terms=surface.world.terms,
            key=key,
        )
    )
    surface.world.due.set()
    return await _answer_change(surface, asker, key, result)


async def _nudge(surface: Surface, asker: Asker, asking: Asking, event: Event) -> Answer:
    noted = _shaped(asking.body if asking.body is not None else {}, Noted)
    refund = await _own_refund(surface, asker, asking)
    if isinstance(refund, Answer):
        return refund
    key = _keyed(asking, 0.0, _changed)
    result = await surface.world.store.submit(
        Nudge(
            merchant=asker.merchant,
            refund=refund.id,
            payment=refund.payment,
            event=event,
            evidence=surface.world.new_id(),
            by=asker.name,
            note=noted.note,
            key=key,
        )
    )
    surface.world.due.set()
    return await _answer_change(surface, asker, key, result)


async def _own_refund(surface: Surface, asker: Asker, asking: Asking) -> Refund | Answer:
    id = inward(REFUND, asking.arguments["id"])
    refund = await surface.world.store.refund(asker.merchant, id) if id is not None else None
    return _refused(refuse(Reason.REFUND_NOT_FOUND)) if refund is None else refund


# --- payments --------------------------------------------------------------------------------------------------------


async def create_payment(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """Register money that came in, so that it can be given back."""
    asked = _shaped(asking.body, NewPayment)
    _check_payment(surface.world, asker.merchant, asked)
    captured_at = _within_time(asked.captured_at, "captured_at")
    if captured_at is not None and captured_at > (await surface.world.store.now()).business:
        raise BadRequest("captured_at lies in the future")
    adding = AddPayment(
        amount=asked.amount,
        currency=asked.currency,
        status=asked.status,
        method=asked.method,
        order=asked.order,
        fees=asked.fees,
        parts=asked.parts,
        document=asked.dialect_data,
        metadata=asked.metadata,
    )
    key = _keyed(asking, 0.0, _changed)
    try:
        added = await add_payment(
            surface.world,
            asker.merchant,
            asked.dialect,
            asked.rail,
            adding,
            reference=asked.reference or "",
            captured_at=captured_at,
            scenario=asked.scenario,
            key=key,
            stated=True,
        )
    except ValueError as error:
        raise BadRequest(str(error)) from error
    return await _answer_change(surface, asker, key, added)


async def read_payment(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """One payment as it stands."""
    payment = await _own_payment(surface, asker, asking)
    return payment if isinstance(payment, Answer) else _json(200, payment_view(payment))


async def list_payments(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """A merchant's payments, newest first."""
    query = asking.query
    if (dialect := query.get("dialect")) and (name := query.get("dialect_id")):
        one = await surface.reads.find_payment(asker.merchant, dialect, name)
        return _page([payment_view(one)] if one is not None else [], None)
    found = await surface.reads.list_payments(
        asker.merchant,
        PaymentsAsked(
            dialect=query.get("dialect"),
            order=query.get("order"),
            reference=query.get("reference"),
            after=_place(query),
            limit=_limit(query),
        ),
    )
    return _page([payment_view(each) for each in found.rows], found.next)


async def read_refundability(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """What could be given back now, as a whole or in part, and every reason against it."""
    payment = await _own_payment(surface, asker, asking)
    if isinstance(payment, Answer):
        return payment
    amount = asking.query.get("amount")
    asked = Asked(payer=_whole(amount, "amount", MINOR_MAX)) if amount is not None else Asked()
    now = (await surface.world.store.now()).business
    children = await surface.world.store.children(asker.merchant, payment.id)
    amounts, failing = refundability(
        payment, surface.world.native_terms(payment), now, tuple(children.refunds.values()), asked
    )
    view = RefundabilityView(
        payment=outward(PAYMENT, payment.id),
        refundable=payment.refundable,
        currency=payment.currency,
        possible=not failing,
        amount=amounts.payer,
        wallet_amount=amounts.wallet,
        fee_refund=amounts.fee_return,
        reasons=reasons(failing),
    )
    return _json(200, view)


async def payment_history(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """All that hangs on a payment: refunds, external refunds, disputes, cases."""
    payment = await _own_payment(surface, asker, asking)
    if isinstance(payment, Answer):
        return payment
    return _json(200, history_view(payment, await surface.world.store.children(asker.merchant, payment.id)))


async def close_payment_case(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """Close a contradiction on a payment; sending for it resumes when the last one is closed."""
    asked = _shaped(asking.body, Closing)
    id, number = inward(PAYMENT, asking.arguments["id"]), asking.arguments["number"]
    if id is None or not (number.isascii() and number.isdigit() and len(number) <= CASE_DIGITS_MAX):
        return _refused(refuse(Reason.CASE_NOT_FOUND))
    key = _keyed(asking, 0.0, _changed)
    result = await surface.world.store.submit(
        CloseCase(merchant=asker.merchant, payment=id, number=int(number), by=asker.name, note=asked.note, key=key)
    )
    surface.world.due.set()
    return await _answer_change(surface, asker, key, result)


async def resolve_release(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """Say what became of a payment's release in doubt: executed, or (after the horizon) not sent."""
    asked = _shaped(asking.body, Answered)
    payment = await _own_payment(surface, asker, asking)
    if isinstance(payment, Answer):
        return payment
    key = _keyed(asking, 0.0, _changed)
    result = await surface.world.store.submit(
        ResolveRelease(
            merchant=asker.merchant,
            payment=payment.id,
            executed=asked.outcome == "executed",
            evidence_version=asked.evidence_version,
            evidence=surface.world.new_id(),
            by=asker.name,
            note=asked.note,
            terms=surface.world.terms,
            key=key,
        )
    )
    surface.world.due.set()
    return await _answer_change(surface, asker, key, result)


async def _own_payment(surface: Surface, asker: Asker, asking: Asking) -> Payment | Answer:
    id = inward(PAYMENT, asking.arguments["id"])
    payment = await surface.world.store.payment(asker.merchant, id) if id is not None else None
    return _refused(refuse(Reason.PAYMENT_NOT_FOUND)) if payment is None else payment


# --- ledger and events -----------------------------------------------------------------------------------------------


async def list_movements(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """The ledger's movements, oldest first; of one payment or one refund if asked."""
    query = asking.query
    payment, refund = query.get("payment"), query.get("refund")
    payment_id = inward(PAYMENT, payment) if payment else None
    refund_id = inward(REFUND, refund) if refund else None
    if (payment and payment_id is None) or (refund and refund_id is None):
        return _page([], None)
    after, limit = _whole(query.get("cursor", "0"), "cursor", MINOR_MAX), _limit(query)
    found = await surface.reads.list_movements(
        asker.merchant, payment=payment_id, refund=refund_id, after=after, limit=limit
    )
    more = str(found[-1].number) if len(found) == limit else None
    return _page([movement_view(each.movement) for each in found], more)


async def list_events(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """The event log after a cursor. An empty page means: nothing new yet; ask again with the same cursor.

    A cursor that was given out before the database was restored leads nowhere, and is refused.
    """
    text = asking.query.get("after")
    after = _cursor(text)
    if text and after.epoch != await surface.news.epoch():
        return Answer(410, problem(410, "another_past", ANOTHER_PAST))
    found = await surface.world.store.events(asker.merchant, after, _limit(asking.query))
    shown = [event_view(each.event, _cursor_text(each.cursor)) for each in found]
    return _json(200, {"data": shown, "next_cursor": shown[-1].cursor if shown else text})


def shown_event(event: EventRow, cursor: Cursor) -> bytes:
    """An event as it stands in a page of the log: what endpoints are told."""
    return encode_json(event_view(event, _cursor_text(cursor)))


def _cursor(text: str | None) -> Cursor:
    if not text:
        return Cursor()
    parts = text.split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        raise BadRequest("after is not a cursor that was given out here")
    epoch, xid, id = map(int, parts)
    return Cursor(xid, id, epoch)


def _cursor_text(cursor: Cursor) -> str:
    return f"{cursor.epoch}-{cursor.xid}-{cursor.id}"


# --- rails -----------------------------------------------------------------------------------------------------------


async def list_rails(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """The merchant's rails with what is in doubt on each; built-in ones only where something is."""
    doubt = await money_in_doubt(surface.store, asker.merchant)
    findings = await open_findings(surface.store, asker.merchant)
    kept = {each.name: each for each in await _book(surface).all(asker.merchant)} if surface.book else {}
    hooks = await _book(surface).hooks(asker.merchant) if surface.book else {}
    names = sorted({*kept, *(each.rail for each in doubt)})
    return _page([rail_view(each, kept.get(each), hooks.get(each), doubt, findings) for each in names], None)


async def create_rail(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """Keep a rail to a real provider, or change the one of that name. Its credentials are never shown again."""
    asked, book = _shaped(asking.body, NewRail), _book(surface)
    settings = {
        "base_url": asked.base_url,
        "duplicates": asked.duplicates,
        "at_once": asked.at_once,
        "per_s": asked.per_second,
        "drift_every_s": asked.drift_every_s,
    }
    if asked.base_url.startswith("http:"):
        raise BadRequest("base_url begins with https://; rails to this machine are added with `moneyback rails add`")
    kept = {
        "name": asked.name,
        "connector": asked.connector,
        "account": asked.account,
        "settings": settings,
        "credentials": asked.credentials,
    }
    try:
        rail = await keep_rail(surface.world, book, asker.merchant, kept)
    except RailRefused as error:
        raise BadRequest(str(error)) from error
    except AccountTaken as error:
        return Answer(409, problem(409, "account_taken", str(error)))
    hooks = await book.hooks(asker.merchant)
    return _json(201, rail_view(rail.name, rail, hooks.get(rail.name), (), ()))


async def remove_rail(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """Take a rail out of use; refused while a refund on it has not ended."""
    name = asking.arguments["name"]
    kept = next((each for each in await _book(surface).all(asker.merchant) if each.name == name), None)
    if kept is None:
        return Answer(404, problem(404, "rail_not_found", "There is no such rail."))
    if not await _book(surface).remove(asker.merchant, name):
        return Answer(409, problem(409, "rail_in_use", "A refund on this rail has not ended."))
    return _json(200, rail_view(name, kept, None, (), ()))


async def list_findings(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """Differences between the providers' lists and our books, newest first: open ones, or with `all` every one."""
    open_only = asking.query.get("all", "") in ("", "false", "0")
    found = await surface.news.findings(
        asker.merchant, asking.query.get("rail") or None, open_only=open_only, limit=_limit(asking.query)
    )
    return _page([finding_view(each) for each in found], None)


def _book(surface: Surface) -> RailBook:
    """Raises NoMasterKey where this process cannot seal a rail's credentials."""
    if surface.book is None:
        raise NoMasterKey
    return surface.book


async def list_deliveries(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """What clients' own hooks were told, newest first; with `undelivered`, only what did not arrive."""
    undelivered = asking.query.get("undelivered", "") not in ("", "false", "0")
    found = await surface.reads.deliveries(asker.merchant, undelivered=undelivered, limit=_limit(asking.query))
    return _page([delivery_view(each) for each in found], None)


async def replay_delivery(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """Tell it again, from the first try on. What is still due is tried at once."""
    _shaped(asking.body if asking.body is not None else {}, Nothing)
    id = inward(DELIVERY, asking.arguments["id"])
    if id is not None and (again := await surface.reads.replay_delivery(asker.merchant, id)) is not None:
        return _json(200, delivery_view(again))
    if id is None or await surface.reads.delivery(asker.merchant, id) is None:
        return Answer(404, problem(404, "delivery_not_found", "There is no such delivery."))
    return Answer(409, problem(409, "delivery_forgotten", "What this delivery said is kept no longer."))


# --- endpoints -------------------------------------------------------------------------------------------------------


async def create_endpoint(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """Tell a program of the merchant's what happens. The secret in the answer is shown this once."""
    asked = _shaped(asking.body, NewEndpoint)
    _demand_vault(surface)
    try:
        await demand_address(asked.url, near=surface.near)
        kept = await keep_endpoint(
            surface.world,
            surface.reads,
            asker.merchant,
            dialect=asked.dialect,
            url=asked.url,
            events=tuple(asked.events),
            description=asked.description,
            secret=asked.secret,
            headers=asked.headers,
        )
    except (Astray, EndpointRefused) as error:
        raise BadRequest(str(error)) from error
    return _json(201, endpoint_view(kept))


async def list_endpoints(surface: Surface, asker: Asker, _asking: Asking) -> Answer:
    """The merchant's endpoints, oldest first. Their secrets are not shown."""
    _demand_vault(surface)
    found = await known_endpoints(surface.world, surface.reads, asker.merchant)
    return _page([endpoint_view(each) for each in found], None)


async def delete_endpoint(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """Tell it nothing more; what is still to be told there is given up."""
    _demand_vault(surface)
    id = inward(ENDPOINT, asking.arguments["id"])
    found = await known_endpoints(surface.world, surface.reads, asker.merchant) if id is not None else ()
    known = next((each for each in found if each.id == id), None)
    if known is None or not await remove_endpoint(surface.world, surface.reads, asker.merchant, known.id):
        return _no_endpoint()
    return _json(200, endpoint_view(known))


async def rotate_endpoint(surface: Surface, asker: Asker, asking: Asking) -> Answer:
    """Sign with another secret. A native endpoint's former one signs beside it for a day."""
    _demand_vault(surface)
    asked = _shaped(asking.body if asking.body is not None else {}, Rotation)
    id = inward(ENDPOINT, asking.arguments["id"])
    if id is None:
        return _no_endpoint()
    try:
        kept = await rotate_secret(surface.world, surface.reads, asker.merchant, id, asked.secret)
    except EndpointRefused as error:
        raise BadRequest(str(error)) from error
    return _json(200, endpoint_view(kept)) if kept is not None else _no_endpoint()


def _demand_vault(surface: Surface) -> None:
    if surface.world.vault is None:
        raise NoMasterKey


def _no_endpoint() -> Answer:
    return Answer(404, problem(404, "endpoint_not_found", "There is no such endpoint."))


# --- answering once --------------------------------------------------------------------------------------------------


async def _answer(surface: Surface, asker: Asker, key: Keyed | None, result: Result, wait: float | None) -> Answer:
    """The answer to a command: waited for where there is something to wait for, and the same for ever under a key."""
    if isinstance(result, Replayed):
        return await _replay(surface, asker, result, wait)
    rendered = _created(wait is None)(result)
    if rendered is not None:
        return _answered(*rendered)
    assert isinstance(result, Admitted | Joined) and wait is not None
    until = asyncio.get_running_loop().time() + wait
    landed = await landing(surface.world, result.refund, wait)
    if landed is not None:
        return _answered(*_settled(landed.refund))  # under a key, these bytes were written in the commit that landed it
    left = until - asyncio.get_running_loop().time()
    try:
        refund, _ = await await_refund(surface.world, result.refund, left)
        return _answered(*_settled(refund)) if key is None else await _stored(surface, asker, key.key, refund)
    except StoreUnavailable:
        # It was admitted: whoever heard that nothing was would ask again, and be given it twice.
        return _answered(*_settled(result.refund))


async def _answer_change(surface: Surface, asker: Asker, key: Keyed | None, result: Result) -> Answer:
    """The answer to a command that waits for nothing."""
    if isinstance(result, Replayed):
        return await _replay(surface, asker, result, WAIT_S)
    rendered = _changed(result)
    assert rendered is not None, result
    return _answered(*rendered)


async def _stored(surface: Surface, asker: Asker, key: str, refund: Refund) -> Answer:
    """The bytes that stand under the key; where there are none, the refund as it stands, written down first."""
    status, body = _settled(refund)
    saved = await surface.world.store.submit(
        SaveAnswer(merchant=asker.merchant, dialect=NATIVE, idempotency_key=key, status=status, answer=body)
    )
    assert isinstance(saved, Saved)
    return _answered(saved.status, saved.answer)


async def _replay(surface: Surface, asker: Asker, replayed: Replayed, wait: float | None) -> Answer:
    """Join the request that came first. Past its due time its owner counts as dead: the refund answers for itself."""
    world, row = surface.world, replayed.key
    known = await await_answer(world, asker.merchant, row.dialect, row.key, WAIT_S if wait is None else wait)
    if known is not None:
        status, body = known
        return Answer(status, body, ((b"idempotency-replayed", b"true"),))
    refund = await world.store.refund(asker.merchant, row.refund) if row.refund is not None else None
    if refund is None or (await world.store.now()).real < row.answer_due:
        body = problem(409, "request_in_progress", "The first request under this Idempotency-Key is not answered yet.")
        return Answer(409, body, ((b"retry-after", b"1"),))
    return await _stored(surface, asker, row.key, refund)


def _created(at_once: bool) -> Callable[[Result], tuple[int, bytes] | None]:
    """How a request for a refund is answered, once it is final; `at_once` does not wait for the refund."""

    def render(result: Result) -> tuple[int, bytes] | None:
        match result:
            case Refusal():
                return refused(result)
            case Admitted(refund=refund) | Joined(refund=refund) | Moved(refund=refund):
                return _settled(refund) if at_once or refund.state not in SETTLING else None
            case Grouped():
                return 202, encode_json(_group(result))
            case _:
                return None

    return render


def _changed(result: Result) -> tuple[int, bytes] | None:
    """How a request about something that exists is answered: always at once."""
    match result:
        case Refusal():
            return refused(result)
        case Moved(refund=refund):
            return 200, encode_json(refund_view(refund))
        case Standing(payment=payment, created=created):
            return (201 if created else 200), encode_json(payment_view(payment))
        case _:
            return None


def _settled(refund: Refund) -> tuple[int, bytes]:
    return (202 if refund.state in SETTLING else 201), encode_json(refund_view(refund))


def _group(grouped: Grouped) -> OrderRefundView:
    first = grouped.legs[0].refund
    assert first.group is not None, "a leg belongs to its order refund"
    return OrderRefundView(
        id=outward(ORDER_REFUND, first.group),
        order=grouped.order.reference,
        amount=sum(leg.refund.payer for leg in grouped.legs),
        currency=first.currency,
        refunds=tuple(refund_view(leg.refund) for leg in grouped.legs),
    )


# --- reading what was asked ------------------------------------------------------------------------------------------


def _shaped(body: Any, shape: type[Any]) -> Any:
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object" if body is not None else "a JSON body is needed")
    try:
        return msgspec.convert(body, shape)
    except msgspec.ValidationError as error:
        raise BadRequest(str(error)) from error


def _keyed(asking: Asking, wait: float | None, render: Callable[[Result], tuple[int, bytes] | None]) -> Keyed | None:
    key = asking.headers.get("idempotency-key")
    if key is None:
        return None
    if not key or len(key) > KEY_BYTES_MAX:  # a header's text has one character for each of its bytes
        raise BadRequest(f"an Idempotency-Key has 1 to {KEY_BYTES_MAX} bytes")
    return Keyed(NATIVE, key, fingerprint(asking), timedelta(seconds=wait or 0) + ANSWER_SLACK, render)


def fingerprint(asking: Asking) -> bytes:
    """What makes two requests the same: method, path and decoded body, however it was written down."""
    return hashlib.sha256(b"\n".join((asking.method.encode(), asking.path.encode(), _sorted(asking.body)))).digest()


_sorted: Final = msgspec.json.Encoder(decimal_format="number", order="sorted").encode


async def _is_unused(surface: Surface, asker: Asker, key: Keyed) -> bool:
    return await surface.world.store.key(asker.merchant, key.dialect, key.key) is None


def _wait_of(asking: Asking) -> float | None:
    """Seconds to wait for the refund; None answers at once (`Prefer: respond-async`)."""
    wait: float | None = WAIT_S
    for preference in asking.headers.get("prefer", "").split(","):
        name, _, value = preference.strip().lower().partition("=")
        if name == "respond-async":
            return None
        if name == "wait" and value.isascii() and value.isdigit() and len(value) < 6:
            wait = min(float(int(value)), WAIT_S_MAX)
    return wait


def _states(text: str | None) -> frozenset[State]:
    try:
        return frozenset(State(word) for word in text.split(",")) if text else frozenset()
    except ValueError as error:
        raise BadRequest(f"state is one or more of: {', '.join(each.value for each in State)}") from error


def _place(query: Mapping[str, str]) -> Place | None:
    text = query.get("cursor")
    try:
        return Place.read(text) if text else None
    except ValueError as error:
        raise BadRequest("cursor is not one that was given out here") from error


def _limit(query: Mapping[str, str]) -> int:
    return _whole(query.get("limit", str(PAGE)), "limit", PAGE_MAX, least=1)


def _whole(text: str, name: str, most: int, least: int = 0) -> int:
    """A whole number as it stands in a query."""
    known = text.isascii() and text.isdigit() and len(text) <= len(str(MINOR_MAX))
    if not known or not least <= (number := int(text)) <= most:
        raise BadRequest(f"{name} is a whole number from {least} to {most}")
    return number


def _within_time(moment: datetime | None, name: str) -> datetime | None:
    """The same moment in UTC. What no calendar holds is refused."""
    try:
        known = moment and moment.astimezone(UTC)
    except OverflowError:
        known = LATEST
    if known is not None and not EARLIEST <= known < LATEST:
        raise BadRequest(f"{name} lies between the years {EARLIEST.year} and {LATEST.year}")
    return known


def _check_payment(world: World, owner: UUID, asked: NewPayment) -> None:
    if asked.amount <= 0 or asked.fees < 0 or asked.fees >= asked.amount:
        raise BadRequest("amount is positive, and fees are less than it and not negative")
    if asked.dialect != NATIVE and asked.dialect not in world.dialects:
        raise BadRequest(f"no such dialect; there are: {', '.join([NATIVE, *world.dialects])}")
    own = [name for merchant, name in world.own_rails if merchant == owner]
    if asked.rail not in (*world.rails, *own):
        raise BadRequest(f"no such rail; there are: {', '.join([*world.rails, *own])}")
    if asked.rail in own and not asked.reference:
        raise BadRequest("a payment on this rail needs a reference: the provider's own id of it")
    if asked.rail in own and asked.scenario is not None:
        raise BadRequest("scenarios are for sandbox rails; a real provider does as it does")
    try:
        known_currency(asked.currency)
    except ValueError as error:
        raise BadRequest(str(error)) from error
    _check_scenario(asked.scenario)


def _check_scenario(scenario: str | None) -> None:
    if scenario is None:
        return
    from moneyback.bank.scenario import parse  # noqa: PLC0415

    try:
        parse(scenario)
    except ValueError as error:
        raise BadRequest(str(error)) from error


def _leg_amounts(payments: tuple[Payment, ...], amount: int | None) -> tuple[int | None, ...]:
    if amount is None:
        return tuple(None for _ in payments)
    weights = [payment.refundable for payment in payments]
    if amount <= 0 or not any(weights):
        return tuple(amount for _ in payments)
    return split(amount, weights)


def _json(status: int, value: Any) -> Answer:
    return Answer(status, encode_json(value))


def _page(shown: list[Any], cursor: object) -> Answer:
    return _json(200, {"data": shown, "next_cursor": str(cursor) if cursor is not None else None})


def _answered(status: int, body: bytes) -> Answer:
    return Answer(status, body)


def _refused(refusal: Refusal) -> Answer:
    return Answer(*refused(refusal))


ENDPOINTS: Final = (
    Endpoint(
        method="POST",
        path="/v1/payments/{id}/refunds",
        scope="refunds:write",
        handle=create_refund,
        summary="Refund a payment",
        takes=NewRefund,
        gives=RefundView,
        statuses=(201, 202),
        keyed=True,
    ),
    Endpoint(
        method="GET",
        path="/v1/refunds/{id}",
        scope="refunds:read",
        handle=read_refund,
        summary="Read a refund",
        gives=RefundView,
    ),
    Endpoint(
        method="GET",
        path="/v1/doubt",
        scope="refunds:read",
        handle=list_doubt,
        summary="List refunds that wait for a person",
        gives=list[RefundView],
        query=("limit",),
    ),
    Endpoint(
        method="GET",
        path="/v1/doubt/releases",
        scope="refunds:read",
        handle=list_doubtful_releases,
        summary="List payments whose release waits for a person",
        gives=list[PaymentView],
        query=("limit",),
    ),
    Endpoint(
        method="GET",
        path="/v1/refunds",
        scope="refunds:read",
        handle=list_refunds,
        summary="List refunds",
        gives=list[RefundView],
        query=("payment", "order", "provider_id", "state", "cursor", "limit"),
    ),
    Endpoint(
        method="GET",
        path="/v1/refunds/{id}/evidence",
        scope="refunds:read",
        handle=refund_evidence,
        summary="What was seen of a refund",
        gives=SeenView,
    ),
    Endpoint(
        method="POST",
        path="/v1/refunds/{id}/cancel",
        scope="refunds:write",
        handle=cancel_refund,
        summary="Withdraw a refund that was not sent",
        takes=Noted,
        gives=RefundView,
        keyed=True,
    ),
    Endpoint(
        method="POST",
        path="/v1/refunds/{id}/approve",
        scope="refunds:write",
        handle=approve_refund,
        summary="Approve a refund",
        takes=Noted,
        gives=RefundView,
        keyed=True,
    ),
    Endpoint(
        method="POST",
        path="/v1/refunds/{id}/reject",
        scope="refunds:write",
        handle=reject_refund,
        summary="Reject a refund",
        takes=Noted,
        gives=RefundView,
        keyed=True,
    ),
    Endpoint(
        method="POST",
        path="/v1/refunds/{id}/resolve",
        scope="refunds:resolve",
        handle=resolve_refund,
        summary="Answer the doubt about a refund",
        takes=Answered,
        gives=RefundView,
        keyed=True,
    ),
    Endpoint(
        method="POST",
        path="/v1/payments",
        scope="payments:write",
        handle=create_payment,
        summary="Register a payment",
        takes=NewPayment,
        gives=PaymentView,
        statuses=(200, 201),
        keyed=True,
    ),
    Endpoint(
        method="GET",
        path="/v1/payments",
        scope="payments:read",
        handle=list_payments,
        summary="List payments",
        gives=list[PaymentView],
        query=("dialect", "dialect_id", "order", "reference", "cursor", "limit"),
    ),
    Endpoint(
        method="GET",
        path="/v1/payments/{id}",
        scope="payments:read",
        handle=read_payment,
        summary="Read a payment",
        gives=PaymentView,
    ),
    Endpoint(
        method="GET",
        path="/v1/payments/{id}/refundability",
        scope="payments:read",
        handle=read_refundability,
        summary="What could be refunded now, and why not more",
        gives=RefundabilityView,
        query=("amount",),
    ),
    Endpoint(
        method="GET",
        path="/v1/payments/{id}/history",
        scope="payments:read",
        handle=payment_history,
        summary="All that hangs on a payment",
        gives=HistoryView,
    ),
    Endpoint(
        method="POST",
        path="/v1/payments/{id}/cases/{number}/close",
        scope="refunds:resolve",
        handle=close_payment_case,
        summary="Close a case of a payment",
        takes=Closing,
        gives=PaymentView,
        keyed=True,
    ),
    Endpoint(
        method="POST",
        path="/v1/payments/{id}/release/resolve",
        scope="refunds:resolve",
        handle=resolve_release,
        summary="Answer the doubt about a release",
        takes=Answered,
        gives=PaymentView,
        keyed=True,
    ),
    Endpoint(
        method="POST",
        path="/v1/orders/{id}/refunds",
        scope="refunds:write",
        handle=create_order_refund,
        summary="Refund a whole order",
        takes=NewOrderRefund,
        gives=OrderRefundView,
        statuses=(202,),
        keyed=True,
    ),
    Endpoint(
        method="POST",
        path="/v1/rails",
        scope="keys:write",
        handle=create_rail,
        summary="Add or change a rail",
        takes=NewRail,
        gives=RailView,
        statuses=(201,),
    ),
    Endpoint(
        method="GET",
        path="/v1/rails",
        scope="payments:read",
        handle=list_rails,
        summary="List rails, and what is in doubt on each",
        gives=list[RailView],
    ),
    Endpoint(
        method="GET",
        path="/v1/findings",
        scope="payments:read",
        handle=list_findings,
        summary="List differences from providers' lists",
        gives=list[FindingView],
        query=("rail", "all", "limit"),
    ),
    Endpoint(
        method="GET",
        path="/v1/deliveries",
        scope="events:read",
        handle=list_deliveries,
        summary="List what clients' own hooks were told",
        gives=list[DeliveryView],
        query=("undelivered", "limit"),
    ),
    Endpoint(
        method="POST",
        path="/v1/deliveries/{id}/replay",
        scope="events:write",
        handle=replay_delivery,
        summary="Tell again what a client's hook was told",
        takes=Nothing,
        gives=DeliveryView,
    ),
    Endpoint(
        method="POST",
        path="/v1/endpoints",
        scope="events:write",
        handle=create_endpoint,
        summary="Register where events are told",
        takes=NewEndpoint,
        gives=EndpointView,
        statuses=(201,),
    ),
    Endpoint(
        method="GET",
        path="/v1/endpoints",
        scope="events:read",
        handle=list_endpoints,
        summary="List where events are told",
        gives=list[EndpointView],
    ),
    Endpoint(
        method="DELETE",
        path="/v1/endpoints/{id}",
        scope="events:write",
        handle=delete_endpoint,
        summary="Tell an endpoint nothing more",
        gives=EndpointView,
    ),
    Endpoint(
        method="POST",
        path="/v1/endpoints/{id}/rotate",
        scope="events:write",
        handle=rotate_endpoint,
        summary="Sign with another secret",
        takes=Rotation,
        gives=EndpointView,
    ),
    Endpoint(
        method="DELETE",
        path="/v1/rails/{name}",
        scope="keys:write",
        handle=remove_rail,
        summary="Take a rail out of use",
        gives=RailView,
    ),
    Endpoint(
        method="GET",
        path="/v1/ledger/movements",
        scope="ledger:read",
        handle=list_movements,
        summary="List the ledger's movements",
        gives=list[MovementView],
        query=("payment", "refund", "cursor", "limit"),
    ),
    Endpoint(
        method="GET",
        path="/v1/events",
        scope="events:read",
        handle=list_events,
        summary="Read the event log",
        gives=list[EventView],
        query=("after", "limit"),
    ),
)
assert all(endpoint.scope in SCOPES for endpoint in ENDPOINTS)
