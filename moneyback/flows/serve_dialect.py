"""Serving a dialect: a handler's asks are answered one by one, until it has said what the client is told.

Once a refund is admitted the client must not hear that something went wrong: it would ask again. From then on a
database that is away is answered for from what this conversation has seen, and the handler says "not ended yet".
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Generator, Mapping
from hashlib import sha256
from traceback import walk_tb
from typing import Any, Final, TypeVar, assert_never
from uuid import UUID, uuid5

import msgspec
from msgspec.structs import replace

from moneyback.core.commands import (
    Admitted,
    Grouped,
    Joined,
    LetGo,
    ObservePayment,
    RequestOrderRefund,
    RequestRefund,
    Result,
    SaveAnswer,
    Standing,
    TermsOf,
)
from moneyback.core.ledger import wallet
from moneyback.core.payment import Payment
from moneyback.core.refund import Refund, State
from moneyback.core.refusals import Reason, Refusal, refuse
from moneyback.dialect import (
    ActFor,
    AddPayment,
    Ask,
    AskOrderRefund,
    AskRefund,
    Await,
    BalanceOf,
    Caller,
    Dialect,
    DropDocument,
    Fault,
    FindPayment,
    FindRefund,
    Incoming,
    Instant,
    IssueToken,
    KeepAnswer,
    KeyedAnswer,
    LeaveToProvider,
    ListDocuments,
    ListMovements,
    ListPayments,
    ListRefunds,
    LoadDocument,
    Mac,
    NewId,
    NewKeyPair,
    NextNumber,
    Outgoing,
    PaymentOf,
    RefundOf,
    RefundsOf,
    Release,
    ReleasePayment,
    Route,
    SaveDocument,
    SeePayment,
    Sign,
    TakeKey,
    Tell,
    Total,
)
from moneyback.flows.add_payment import add_payment
from moneyback.flows.await_answer import await_answer
from moneyback.flows.release import release_payment
from moneyback.flows.request_refund import await_refund, request_order_refund, request_refund
from moneyback.flows.sign import draw_key_pair, mac, sign, with_endpoint_headers
from moneyback.flows.world import World
from moneyback.store.callers import FRONT
from moneyback.store.deliveries import Told
from moneyback.store.migrate import sequence_name
from moneyback.store.port import StoreUnavailable
from moneyback.store.reads import PaymentsAsked, Reads, RefundsAsked

T = TypeVar("T")

DISTINCT: Final = "moneyback-distinct"
"""The header whose value tells two equal requests apart where equal requests are one refund."""
RAIL: Final = "sandbox"
"""Where payments made through a dialect's own calls are refunded, unless the credential's profile names a `rail`."""
RETRY_AFTER_S: Final = 1
TRIES: Final = 3
"""How often something is asked of a database that is away, once a refund is admitted."""
PAUSE_S: Final = 0.2
_NAMES: Final = re.compile(r"{(\w+)}")
_AMONG: Final = ("match", "created_from", "created_to", "updated_from", "updated_to")
"""What documents of a kind are chosen by."""


class _Revoked(Exception):
    """The caller's credential ended while its request was served."""


async def serve(
    world: World, reads: Reads, dialect: Dialect, route: Route, incoming: Incoming, caller: Caller
) -> Outgoing:
    """The answer to one request. What goes wrong is logged, and said in the provider's words."""
    return await answered(Serving(world, reads, dialect, incoming, caller), route)


async def answered(serving: Serving, route: Route) -> Outgoing:
    """The answer of a request that is being served, whatever happens."""
    world, dialect, incoming = serving.world, serving.dialect, serving.incoming
    try:
        return await serving.run(route)
    except _Revoked:
        return dialect.fault(Fault.UNAUTHENTICATED, incoming)
    except StoreUnavailable as error:
        world.log("dialect_unavailable", dialect=dialect.name, route=route.path, error=str(error))
        return await serving.read_instead(route) or unavailable(dialect, incoming)
    except Exception as error:
        world.log("dialect_broke", dialect=dialect.name, route=route.path, error=where(error))
        return await serving.read_instead(route) or dialect.fault(Fault.INTERNAL, incoming)


def unavailable(dialect: Dialect, incoming: Incoming) -> Outgoing:
    """Nothing was admitted; the same request may be sent again a little later."""
    said = dialect.fault(Fault.UNAVAILABLE, incoming)
    if any(name.lower() == "retry-after" for name in said.headers):
        return said
    return replace(said, headers={**said.headers, "Retry-After": str(RETRY_AFTER_S)})


def where(error: BaseException) -> str:
    """An error's kind and place for the log, without its text: that may quote what a client sent."""
    frames = [f"{frame.f_code.co_name}:{line}" for frame, line in walk_tb(error.__traceback__)]
    return f"{type(error).__name__} in {' > '.join(frames[-4:])}"


class Serving:
    """One request on its way: who asks, and what has been seen of refunds and payments so far."""

    def __init__(self, world: World, reads: Reads, dialect: Dialect, incoming: Incoming, caller: Caller) -> None:
        self.world = world
        self.reads = reads
        self.dialect = dialect
        self.incoming = incoming
        self.caller = caller
        self._admitted: list[Refund] = []
        self._refunds: dict[UUID, Refund] = {}
        self.payments: dict[UUID, Payment] = {}
        self._route: Route | None = None

    async def run(self, route: Route, incoming: Incoming | None = None) -> Outgoing:
        """Drive the handler to its answer."""
        self._route = route
        return await self.through(route.handle(incoming or self.incoming, self.caller))

    async def through(self, conversation: Generator[Ask, Any, T]) -> T:
        """Answer every ask of a conversation; what it came to."""
        answer: Any = None
        try:
            while True:
                try:
                    ask = conversation.send(answer)
                except StopIteration as ended:
                    came_to: T = ended.value
                    return came_to
                answer = self.see(await self._answer(ask))
        finally:
            conversation.close()

    async def read_instead(self, route: Route) -> Outgoing | None:
        """What reading shows of a refund that was admitted, for a handler that could not say it; None if there is none.

        A way to read whose answers have the form of this one's comes first. In the end anything but an error is said:
        whoever hears of one sends the refund again.
        """
        if not self._admitted:
            return None
        refund = self._admitted[-1]
        payment = self.payments.get(refund.payment)
        ids = (refund.dialect_id, *((payment.dialect_id,) if payment is not None else ()))
        for reading in sorted(self._readings(), key=lambda each: each.response_schema != route.response_schema):
            for id in ids:
                said = await self._read(reading, id)
                if said is not None and said.status < 300:
                    return said
        return Outgoing(status=202, body={"id": refund.dialect_id})

    def _readings(self) -> list[Route]:
        """The ways to read one thing by its id."""
        return [each for each in self.dialect.routes if each.method == "GET" and each.path.rstrip("/").endswith("}")]

    async def _read(self, reading: Route, id: str) -> Outgoing | None:
        *others, last = _NAMES.findall(reading.path)
        arguments = {**{name: self.incoming.arguments.get(name, "") for name in others}, last: id}
        path = reading.path.format(**arguments)
        incoming = replace(
            self.incoming, method="GET", path=path, arguments=arguments, query=(), body=None, encoding="none"
        )
        try:
            return await self.run(reading, incoming)
        except Exception as error:
            self.world.log("dialect_broke", dialect=self.dialect.name, route=reading.path, error=where(error))
            return None

    # --- answering, whatever becomes of the database -----------------------------------------------------------------

    async def _answer(self, ask: Ask) -> Any:
        tries = 1
        while True:
            try:
                return await self.ask(ask)
            except StoreUnavailable as error:
                if not self._admitted:
                    raise
                if isinstance(ask, Await) or tries == TRIES:
                    return self._recall(ask, error)
            tries += 1
            await self.world.sleep(PAUSE_S)

    def _recall(self, ask: Ask, error: StoreUnavailable) -> Any:
        """What can be said from this conversation alone. Raises the error where nothing can."""
        self.world.log("dialect_recalls", dialect=self.dialect.name, ask=type(ask).__name__, error=str(error))
        match ask:
            case Await(refund) if refund.payment in self.payments:
                return self._refunds.get(refund.id, refund), self.payments[refund.payment]
            case PaymentOf(payment) if payment in self.payments:
                return self.payments[payment]
            case RefundOf(refund) if refund in self._refunds:
                return self._refunds[refund]
            case RefundsOf(payment):
                return tuple(each for each in self._refunds.values() if each.payment == payment)
            case FindPayment(dialect_id) if found := _of_id(self.payments, dialect_id):
                return found
            case FindRefund(dialect_id) if found := _of_id(self._refunds, dialect_id):
                return found
            case Instant():
                return max(each.updated_at for each in self._refunds.values())
            case LoadDocument() | SaveDocument() | KeepAnswer():
                return None
            case ListDocuments() | ListPayments() | ListRefunds() | ListMovements():
                return ()
            case _:
                raise error

    def see(self, answer: Any) -> Any:
        """Remember every refund and payment that goes by."""
        match answer:
            case Admitted(refund, payment) | Joined(refund, payment):
                self._admitted.append(refund)
                self.see(refund)
                self.see(payment)
            case Grouped(legs=legs):
                for leg in legs:
                    self.see(leg)
            case Refund():
                self._refunds[answer.id] = answer
            case Payment():
                self.payments[answer.id] = answer
            case tuple():
                for each in answer:
                    self.see(each)
        return answer

    # --- the asks ----------------------------------------------------------------------------------------------------

    async def ask(self, ask: Ask) -> Any:
        world, reads, merchant, dialect = self.world, self.reads, self.caller.merchant, self.dialect.name
        match ask:
            case FindPayment(dialect_id):
                return await reads.find_payment(merchant, dialect, dialect_id)
            case FindRefund(dialect_id):
                return await reads.find_refund(merchant, dialect, dialect_id)
            case PaymentOf(payment):
                return await reads.payment_of(merchant, payment)
            case RefundOf(refund):
                return await reads.refund_of(merchant, refund)
            case RefundsOf(payment):
                return await reads.refunds_of(merchant, payment)
            case ListPayments():
                return (await reads.list_payments(merchant, _asked(PaymentsAsked, ask, dialect))).rows
            case ListRefunds():
                return (await reads.list_refunds(merchant, _asked(RefundsAsked, ask, dialect))).rows
            case ListMovements():
                members = {name: getattr(ask, name) for name in ("ascending", "offset", "limit")}
                return await reads.movements_of_account(merchant, wallet(ask.wallet), ask.currency, **members)
            case BalanceOf(name, currency):
                return await reads.balance(merchant, wallet(name), currency)
            case Total(listed):
                return await self._total(listed)
            case AskRefund():
                return await request_refund(world, self._request(ask))
            case AskOrderRefund():
                return await self._ask_order(ask)
            case ReleasePayment():
                return await self._release(ask)
            case Await(refund, seconds):
                return await await_refund(world, refund, seconds)
            case Instant():
                return (await world.store.now()).business
            case NextNumber():
                return await reads.next_number(dialect)
            case NewId():
                return world.new_id()
            case LoadDocument(kind, name):
                return await reads.documents.load(merchant, dialect, kind, name)
            case SaveDocument(kind, name, data):
                return await reads.documents.save(merchant, dialect, kind, name, data)
            case DropDocument(kind, name):
                return await reads.documents.drop(merchant, dialect, kind, name)
            case ListDocuments():
                members = {name: getattr(ask, name) for name in (*_AMONG, "ascending", "offset", "limit")}
                return await reads.documents.list(merchant, dialect, ask.kind, **members)
            case AddPayment():
                return await self._add_payment(ask)
            case SeePayment():
                return await self._see_payment(ask)
            case LeaveToProvider():
                return None
            case NewKeyPair():
                return await asyncio.to_thread(draw_key_pair, world.vault, merchant)
            case Sign(sealed, data):
                return await asyncio.to_thread(sign, world.vault, merchant, sealed, data)
            case Mac():
                return await self._mac(ask)
            case Tell():
                return await self._tell(ask)
            case ActFor(merchant=named):
                self._act_for(named)
                return None
            case IssueToken(seconds):
                return await self._issue_token(seconds)
            case KeyedAnswer(key, seconds, render):
                return await await_answer(world, merchant, dialect, key, seconds, render)
            case TakeKey(key, status, answer):
                return await reads.take_key(merchant, dialect, key, status, answer)
            case KeepAnswer(key, status, answer):
                await world.store.submit(
                    SaveAnswer(merchant=merchant, dialect=dialect, idempotency_key=key, status=status, answer=answer)
                )
                return None
            case _:
                assert_never(ask)

    def _request(self, ask: AskRefund, group: UUID | None = None) -> RequestRefund:
        dialect_id, sequence = ask.dialect_id, None
        if dialect_id is None and self.dialect.numbered:
            sequence = sequence_name(self.dialect.name)
        elif dialect_id is None:
            dialect_id = str(self.world.new_id())
        return RequestRefund(
            merchant=self.caller.merchant,
            id=self.world.new_id(),
            payment=ask.payment.id,
            dialect=self.dialect.name,
            terms=self._terms(ask),
            asked=ask.asked,
            dialect_id=dialect_id,
            sequence=sequence,
            currency=ask.currency,
            reason=ask.reason,
            reference=ask.reference,
            requested_by=self.caller.name or None,
            parts=ask.parts,
            destination=ask.destination,
            scenario=ask.payment.scenario,
            equality=self._equality(ask),
            group=group,
            metadata=ask.metadata,
            request=ask.request,
            key=ask.key,
        )

    def _terms(self, ask: AskRefund) -> TermsOf:
        own: dict[str, Any] = {}
        if ask.capabilities is not None:
            own["dialect"] = ask.capabilities
        if ask.check is not None:
            own["check"] = ask.check
        return (lambda payment: replace(self.world.terms(payment), **own)) if own else self.world.terms

    def _equality(self, ask: AskRefund) -> bytes | None:
        """What makes another request without a key the same one; None where two requests are always two refunds."""
        if ask.key is not None or not self._joins(ask.payment):
            return None
        said = (
            self.dialect.name,
            ask.asked,
            ask.currency,
            ask.reason,
            ask.reference,
            ask.destination,
            ask.parts,
            ask.metadata,
            ask.request,
            ask.distinct,
            self.incoming.headers.get(DISTINCT),
        )
        return sha256(msgspec.json.encode(said, order="deterministic")).digest()

    def _joins(self, payment: Payment) -> bool:
        return self.world.rail(payment.merchant, payment.rail).joins

    async def _ask_order(self, ask: AskOrderRefund) -> Result:
        if any(leg.asked.payer is not None and self._joins(leg.payment) for leg in ask.legs):
            # How an amount is shared out depends on what is left: sent again, the same request would have other legs,
            # be no equal of the first, and be paid a second time.
            return refuse(Reason.KIND_UNSUPPORTED, order=ask.order)
        group = self.world.new_id()
        legs = tuple([self._request(await self._numbered(leg), group) for leg in ask.legs])
        command = RequestOrderRefund(
            merchant=self.caller.merchant,
            id=group,
            dialect=self.dialect.name,
            reference=ask.order,
            legs=legs,
            whole=False,
        )
        return await request_order_refund(self.world, command)

    async def _numbered(self, leg: AskRefund) -> AskRefund:
        """A leg with its id: the commit draws one number for a command, and a group is one command."""
        if leg.dialect_id is not None or not self.dialect.numbered:
            return leg
        return replace(leg, dialect_id=str(await self.reads.next_number(self.dialect.name)))

    async def _total(self, listed: ListPayments | ListRefunds | ListDocuments) -> int:
        merchant, dialect, reads = self.caller.merchant, self.dialect.name, self.reads
        match listed:
            case ListPayments():
                return await reads.count_payments(merchant, _asked(PaymentsAsked, listed, dialect))
            case ListRefunds():
                return await reads.count_refunds(merchant, _asked(RefundsAsked, listed, dialect))
            case ListDocuments():
                members = {name: getattr(listed, name) for name in _AMONG}
                return await reads.documents.count(merchant, dialect, listed.kind, **members)

    async def _add_payment(self, ask: AddPayment) -> Payment | Refusal:
        rail = str(self.caller.profile.get("rail", RAIL))
        added = await add_payment(self.world, self.caller.merchant, self.dialect.name, rail, ask)
        if isinstance(added, Refusal) and added.has(Reason.INSUFFICIENT_FUNDS):
            return added
        assert isinstance(added, Standing), f"a new payment was not registered: {added}"
        return added.payment

    async def _release(self, ask: ReleasePayment) -> Payment | Refusal:
        """Let an authorisation go. The sandbox bank holds none, so there ours is all there is to write."""
        if self.world.rail(ask.payment.merchant, ask.payment.rail).real:
            return await self._release_there(ask)
        now = (await self.world.store.now()).business
        record = msgspec.to_builtins(Release(dialect_id=ask.dialect_id, state=State.SUCCEEDED, at=now))
        released = await self.world.store.submit(
            LetGo(
                merchant=self.caller.merchant,
                payment=ask.payment.id,
                evidence=self.world.new_id(),
                record=record,
            )
        )
        assert isinstance(released, Standing | Refusal)
        return released.payment if isinstance(released, Standing) else released

    async def _release_there(self, ask: ReleasePayment) -> Payment | Refusal:
        payment = await self.world.store.payment(self.caller.merchant, ask.payment.id)
        if payment is None:
            return refuse(Reason.PAYMENT_NOT_FOUND, payment=ask.payment.id)
        return await release_payment(self.world, payment, ask.dialect_id, ask.seconds)

    async def _see_payment(self, ask: SeePayment) -> Payment:
        seen = await self.world.store.submit(
            ObservePayment(
                merchant=self.caller.merchant,
                payment=ask.payment.id,
                evidence=self.world.new_id(),
                sighting=ask.sighting,
                source="dialect",
                document=ask.document,
            )
        )
        assert isinstance(seen, Standing), "a payment that was found is not lost again"
        return seen.payment

    async def _mac(self, ask: Mac) -> bytes | None:
        world, caller, dialect = self.world, self.caller, self.dialect.name
        kept = None
        if not ask.sealed and world.vault is not None:
            front = caller.profile.get(FRONT)
            kept = await self.reads.callers.sealed_secret(caller.merchant, dialect, caller.credential, front)
        return mac(world.vault, caller.merchant, ask, dialect, kept)

    async def _tell(self, ask: Tell) -> None:
        """Where nothing can be sealed nothing is kept to be sent."""
        world, merchant, dialect = self.world, self.caller.merchant, self.dialect.name
        if world.vault is None:
            world.log("not_told", dialect=dialect, why="no master key")
            return
        told = Told(
            id=told_id(merchant, dialect, ask.id, ask.delivery.hook),
            delivery=with_endpoint_headers(world.vault, merchant, ask.delivery),
            dialect=dialect,
        )
        await self.reads.deliveries_with(world.vault).add(merchant, told)

    def _act_for(self, merchant: UUID) -> None:
        assert self._route is not None and self._route.public, "who calls with credentials acts for nobody else"
        self.caller = Caller(merchant=merchant)

    async def _issue_token(self, seconds: int) -> str:
        assert self.caller.credential is not None, "a public route issues no tokens"
        token = await self.reads.callers.issue_token(self.caller.merchant, self.caller.credential, seconds)
        if token is None:
            raise _Revoked
        return token


def told_id(merchant: UUID, dialect: str, id: str, hook: str) -> UUID:
    """What a dialect tells one hook of one thing is one delivery, however often it is told."""
    return uuid5(merchant, f"{dialect}:{id}:{hook}")


def _of_id(known: Mapping[UUID, Any], dialect_id: str) -> Any:
    return next((each for each in known.values() if each.dialect_id == dialect_id), None)


def _asked(kind: type[Any], ask: ListPayments | ListRefunds, dialect: str) -> Any:
    """A handler's list as a read: the members have the same names."""
    members: Mapping[str, Any] = {name: getattr(ask, name) for name in ask.__struct_fields__}
    return kind(dialect=dialect, **members)
