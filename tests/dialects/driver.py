"""A table-driven world for a dialect's server half: it answers a handler's asks from memory, with the real core.

Admission, registration and sightings go through `decide` and `apply`, with the dialect's own terms and a rail that can
do anything. What the rail does to a refund is scripted: `table.outcome` is what an `Await` finds, and `table.bring`
takes a refund to any state at any time. An outcome is a state's word, with the provider's code after a colon where
there is one: "succeeded", "pending", "failed:R01", "unknown", "returned:R03".

    table = Table(DIALECT)
    payment = table.pay(10_000, "USD")
    answer = table.call("POST", f"/api/v1/transactions/{payment.dialect_id}/refund", {"amount": "1.00"})
    refund = table.bring(table.refunds[-1], "succeeded")
    (delivery,) = table.tell("refund.succeeded", payment, refund)
"""

import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any, TypedDict, TypeVar, assert_never
from uuid import UUID, uuid5

import jsonschema_rs
import msgspec
from msgspec.structs import replace

from moneyback.core.commands import (
    Arm,
    Command,
    Now,
    Nudge,
    Observation,
    Observe,
    ObservePayment,
    RegisterPayment,
    RequestOrderRefund,
    RequestRefund,
    Sighting,
    Terms,
    TermsOf,
)
from moneyback.core.decide import decide
from moneyback.core.ledger import Account, Movement, limited, wallet
from moneyback.core.payment import Condition, Payment
from moneyback.core.plan import Children, Facts, Plan, apply
from moneyback.core.records import KeyRow
from moneyback.core.refund import Event, Refund, State
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
    Conversation,
    Delivery,
    Dialect,
    DropDocument,
    Fault,
    FindPayment,
    FindRefund,
    Happened,
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
    release_of,
)
from moneyback.flows.sign import draw_key_pair, mac, seal_secret, sign
from moneyback.store.access import credential_purpose
from moneyback.vault import Vault

T = TypeVar("T")
START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
MERCHANT, STRANGER = UUID(int=1 << 64), UUID(int=2 << 64)
VAULT = Vault(bytes(range(32)))

ROADS: Mapping[State, tuple[Event, ...]] = {
    State.READY: (),
    State.SENDING: (Event.ARMED,),
    State.PENDING: (Event.ARMED, Event.ACCEPTED),
    State.REQUIRES_ACTION: (Event.ARMED, Event.ACTION_NEEDED),
    State.UNKNOWN: (Event.ARMED, Event.LOST),
    State.NEEDS_REVIEW: (Event.DRIFTED,),
    State.SUCCEEDED: (Event.ARMED, Event.EXECUTED),
    State.RETURNED: (Event.ARMED, Event.EXECUTED, Event.CAME_BACK),
    State.FAILED: (Event.ARMED, Event.REFUSED),
    State.CANCELED: (Event.WITHDRAWN,),
}
"""What happens to a ready refund until it stands there. One that was armed already is not armed again; it is cancelled
by the provider, and reviewed because another amount was executed."""


class Place(TypedDict):
    """Which refund a command is about, and under which terms."""

    merchant: UUID
    refund: UUID
    payment: UUID
    terms: TermsOf


class Table:
    """The payments, refunds and documents of one merchant in one dialect, at a time that stands still."""

    def __init__(
        self,
        dialect: Dialect,
        *,
        profile: Mapping[str, Any] | None = None,
        join_within: timedelta | None = None,
        wallets_limited: bool = False,
    ) -> None:
        self.dialect = dialect
        self.caller = Caller(merchant=MERCHANT, name="demo", profile=profile or {})
        self.now = START
        self.outcome = "pending"
        """What an Await finds."""
        self.outcomes: dict[str, str] = {}
        """The same for the payments named by their dialect id."""
        self.asks: list[Ask] = []
        """Everything the handlers asked, oldest first."""
        self.answers: dict[str, tuple[int, bytes]] = {}
        """What was answered under an Idempotency-Key."""
        self.documents: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._saved: dict[tuple[str, str], tuple[datetime, datetime]] = {}
        self.secret: str | None = None
        """The caller's own secret, as far as it is kept to sign with."""
        self.told: dict[tuple[str, str], Delivery] = {}
        """What handlers told clients' own programs, by its id and the hook."""
        self.movements: list[Movement] = []
        """Everything the ledger holds, oldest first."""
        self.facts = Facts()
        self._terms = Terms(
            dialect=dialect.capabilities,
            check=dialect.check,
            precedence=dialect.precedence,
            kept=dialect.kept,
            intervals=dialect.intervals,
            fenced=False,
            join_within=join_within,
            wallets_limited=wallets_limited,
        )
        self.acting = MERCHANT
        """Whose payments and refunds the handler sees: a public route may name another merchant."""
        self._number = 1_000_000_000
        self._id = 0

    # --- the world, for tests to arrange and to look at ---

    def pay(
        self,
        amount: int,
        currency: str,
        *,
        dialect_data: Mapping[str, Any] | None = None,
        merchant: UUID = MERCHANT,
        external: tuple[tuple[str, int], ...] = (),
        **fields: Any,
    ) -> Payment:
        """A payment as one registered natively; `fields` are AddPayment's. `merchant=STRANGER` makes it foreign."""
        if "document" not in fields:
            fields["document"] = self.dialect.payment_document(dialect_data or {}, self.now)
        paid: Payment = self._register(AddPayment(amount=amount, currency=currency, **fields), merchant, external)
        return paid

    def see(self, payment: Payment, kind: str, amount: int = 0, reference: str = "1") -> Payment:
        """A sighting of a payment: captured, external, dispute_open, dispute_lost, claw_back, …"""
        return self._see(payment, Sighting(kind=kind, amount=amount, reference=reference))

    def bring(self, refund: Refund, outcome: str, *, message: str | None = None) -> Refund:
        """Take a refund to the state an outcome names, by the events that lead there."""
        word, _, code = outcome.partition(":")
        state = State(word)
        if state in ROADS:
            for event in ROADS[state]:
                self._happen(self.facts.refunds[refund.id], event, code or None, message)
        else:  # waits for a person or a date: no event of the rail leads there
            self.write(self.facts.refunds[refund.id], state=state)
        found = self.facts.refunds[refund.id]
        assert found.state is state, f"{found.state} instead of {state}"
        return found

    def write(self, row: Refund | Payment, **changes: Any) -> None:
        """Change a row by hand, for what no event here leads to."""
        changed = replace(row, **changes)
        if isinstance(changed, Payment):
            self.facts.payments[changed.id] = changed
        else:
            self.facts.refunds[changed.id] = changed
            self.facts.children[changed.payment].refunds[changed.id] = changed

    def payment(self, payment: Payment) -> Payment:
        """A payment as it stands now."""
        return self.facts.payments[payment.id]

    @property
    def refunds(self) -> tuple[Refund, ...]:
        """All refunds as they stand now, oldest first."""
        return tuple(self.facts.refunds.values())

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        encoding: Any = None,
    ) -> Outgoing:
        """One request through the dialect's routes, as a mount would hand it on. The body is given decoded."""
        self.acting = MERCHANT
        pairs = tuple(query.items()) if isinstance(query, Mapping) else tuple(query)
        incoming = Incoming(
            method=method,
            path=path,
            query=pairs,
            headers=headers or {},
            body=body,
            encoding=encoding or ("none" if body is None else "json"),
        )
        found = [(route, held) for route in self.dialect.routes if (held := arguments(route, path)) is not None]
        for route, held in found:
            if route.method != method:
                continue
            if incoming.encoding not in ("none", *route.accepts):
                return self.dialect.fault(Fault.BAD_BODY, incoming)
            return self.run(route.handle(replace(incoming, arguments=held), self.caller))
        return self.dialect.fault(Fault.METHOD_NOT_ALLOWED if found else Fault.NOT_FOUND, incoming)

    def run(self, conversation: Conversation) -> Outgoing:
        """Drive one handler to its answer."""
        said = self.through(conversation)
        assert isinstance(said, Outgoing)
        return said

    def tell(
        self,
        type: str,
        payment: Payment,
        refund: Refund | None = None,
        *,
        data: Mapping[str, Any] | None = None,
        id: UUID | None = None,
    ) -> tuple[Delivery, ...]:
        """What the dialect tells of an event, with the payment and its refund as they stand now."""
        assert self.dialect.tell is not None, f"{self.dialect.name} tells nothing"
        self.acting = MERCHANT
        payment = self.facts.payments[payment.id]
        refund = self.facts.refunds[refund.id] if refund is not None else None
        about: Payment | Refund = refund or payment
        happened = Happened(
            id=id or uuid5(about.id, str(about.version)),
            type=type,
            at=self.now,
            sequence=about.version,
            data=data or {},
            payment=payment,
            refund=refund,
        )
        return self.through(self.dialect.tell(happened, self.caller))

    def endpoint_secret(self, secret: str) -> str:
        """A secret, or headers as JSON, sealed as an endpoint's document holds it, for `Mac` and `Delivery`."""
        return seal_secret(VAULT, MERCHANT, secret)

    def through(self, conversation: Generator[Ask, Any, T]) -> T:
        """Answer every ask of a conversation; what it came to."""
        answer: Any = None
        try:
            while True:
                ask = conversation.send(answer)
                self.asks.append(ask)
                answer = self.answer(ask)
        except StopIteration as end:
            came_to: T = end.value
            return came_to

    # --- what handlers ask ---

    def answer(self, ask: Ask) -> Any:
        """The answer to one ask."""
        match ask:
            case FindPayment(dialect_id):
                return next((each for each in self._payments() if each.dialect_id == dialect_id), None)
            case FindRefund(dialect_id):
                return next((each for each in self._own() if dialect_id in (each.dialect_id, each.provider_id)), None)
            case PaymentOf(payment):
                return self.facts.payments[payment]
            case RefundOf(refund):
                return next((each for each in self._own() if each.id == refund), None)
            case RefundsOf(payment):
                return tuple(each for each in self._own() if each.payment == payment)
            case ListPayments():
                return _page((each for each in self._payments() if _is_asked(each, ask)), ask)
            case ListRefunds():
                return _page((each for each in self._own() if self._listed(each, ask)), ask)
            case ListMovements():
                return self._movements_of(ask)
            case BalanceOf(name, currency):
                account = self.facts.accounts.get((MERCHANT, wallet(name), currency))
                return account.balance if account is not None else 0
            case Total(of):
                return len(self.answer(replace(of, offset=0, limit=1 << 30)))
            case AskRefund():
                return self._submit(self._request(ask))
            case ReleasePayment():
                return self._release(ask)
            case AskOrderRefund(order=order, legs=legs):
                requests = tuple(self._request(leg) for leg in legs)
                name = self.dialect.name
                return self._submit(
                    RequestOrderRefund(
                        merchant=MERCHANT, id=self._new(), dialect=name, reference=order, legs=requests, whole=False
                    )
                )
            case Await(refund):
                return self._await(self.facts.refunds[refund.id])
            case Instant():
                return self.now
            case NextNumber():
                return self._next_number()
            case NewId():
                return self._new()
            case LoadDocument(kind, name):
                return self.documents.get((kind, name))
            case SaveDocument(kind, name, data):
                self.documents[(kind, name)] = data
                first, _ = self._saved.get((kind, name), (self.now, self.now))
                self._saved[(kind, name)] = first, self.now
                return None
            case DropDocument(kind, name):
                self._saved.pop((kind, name), None)
                return self.documents.pop((kind, name), None) is not None
            case ListDocuments():
                return self._listed_documents(ask)
            case AddPayment():
                return self._register(ask, MERCHANT, ())
            case SeePayment(payment=payment, sighting=sighting, document=document):
                return self._see(payment, sighting, document)
            case LeaveToProvider():
                return None
            case NewKeyPair():
                return draw_key_pair(VAULT, self.acting)
            case Sign(sealed, data):
                return sign(VAULT, self.acting, sealed, data)
            case Mac():
                return self._mac(ask)
            case Tell(id=id, delivery=delivery):
                self.told.setdefault((id, delivery.hook), delivery)
                return None
            case ActFor(merchant=merchant):
                self.acting = merchant
                return None
            case IssueToken(seconds):
                return f"token-{self._next_number()}-{seconds}"
            case KeyedAnswer():
                return self._answered(ask)
            case TakeKey():
                return self._take_key(ask)
            case KeepAnswer(key, status, answer):
                self._keep_answer(key, status, answer)
                return None
            case _:
                assert_never(ask)

    def _mac(self, ask: Mac) -> bytes | None:
        purpose = credential_purpose(self.acting, self.dialect.name)
        kept = VAULT.seal(self.secret, purpose) if self.secret is not None else None
        return mac(VAULT, self.acting, ask, self.dialect.name, kept)

    def _answered(self, ask: KeyedAnswer) -> tuple[int, bytes] | None:
        """No time passes here: a key that is not answered is answered by what its refund looks like now."""
        row = self._key(ask.key)
        if row is None:
            return self.answers.get(ask.key)
        if row.status is not None and row.answer is not None:
            return row.status, row.answer
        assert row.refund is not None and ask.render is not None
        refund = self.facts.refunds[row.refund]
        return ask.render(refund, self.facts.payments[refund.payment])

    def _take_key(self, ask: TakeKey) -> KeyRow | None:
        known = self._key(ask.key)
        if known is None:
            self.facts.keys[(MERCHANT, self.dialect.name, ask.key)] = KeyRow(
                merchant=MERCHANT,
                dialect=self.dialect.name,
                key=ask.key,
                fingerprint=b"",
                status=ask.status,
                answer=ask.answer,
                answer_due=self.now,
                created_at=self.now,
            )
        return known

    def _keep_answer(self, key: str, status: int, answer: bytes) -> None:
        row = self._key(key)
        assert row is not None, "an answer is kept under a key that was used"
        if row.answer is None:
            row = replace(row, status=status, answer=answer)
            self.facts.keys[(MERCHANT, self.dialect.name, key)] = row

    def _key(self, key: str) -> KeyRow | None:
        return self.facts.keys.get((MERCHANT, self.dialect.name, key))

    def _payments(self) -> list[Payment]:
        return [each for each in self.facts.payments.values() if each.merchant == self.acting]

    def _own(self) -> list[Refund]:
        return [each for each in self.facts.refunds.values() if each.merchant == self.acting]

    def _listed(self, refund: Refund, ask: ListRefunds) -> bool:
        payment = self.facts.payments[refund.payment]
        return (
            ask.payment in (None, refund.payment)
            and ask.order in (None, payment.order)
            and (not ask.states or refund.state in ask.states)
            and _amounts(refund.currency, refund.payer, ask)
            and _within(refund.updated_at, ask.updated_from, ask.updated_to)
            and _matches(payment, ask)
        )

    def _listed_documents(self, ask: ListDocuments) -> tuple[Mapping[str, Any], ...]:
        found = [
            data
            for (kind, name), data in self.documents.items()
            if kind == ask.kind and all(data.get(name) == value for name, value in ask.match.items())
            if _within(self._saved_at(kind, name)[0], ask.created_from, ask.created_to)
            if _within(self._saved_at(kind, name)[1], ask.updated_from, ask.updated_to)
        ]
        found = found if ask.ascending else found[::-1]
        return tuple(found[ask.offset : ask.offset + ask.limit])

    def _saved_at(self, kind: str, name: str) -> tuple[datetime, datetime]:
        """When a document was saved first and last; one that a test put there by hand is new."""
        return self._saved.get((kind, name), (self.now, self.now))

    def _request(self, ask: AskRefund) -> RequestRefund:
        same = (
            ask.asked,
            ask.currency,
            ask.reason,
            ask.reference,
            ask.destination,
            ask.metadata,
            ask.request,
            ask.distinct,
        )
        return RequestRefund(
            merchant=MERCHANT,
            id=self._new(),
            payment=ask.payment.id,
            dialect=self.dialect.name,
            terms=self._terms_asked(ask),
            asked=ask.asked,
            key=ask.key,
            dialect_id=ask.dialect_id or self._next_dialect_id(),
            currency=ask.currency,
            reason=ask.reason,
            reference=ask.reference,
            destination=ask.destination,
            parts=ask.parts,
            metadata=ask.metadata,
            request=ask.request,
            equality=None if ask.key else sha256(msgspec.json.encode(same, order="deterministic")).digest(),
        )

    def _await(self, refund: Refund) -> tuple[Refund, Payment]:
        payment = self.facts.payments[refund.payment]
        if refund.state in (State.READY, State.SENDING):
            refund = self.bring(refund, self.outcomes.get(payment.dialect_id, self.outcome))
        return refund, self.facts.payments[refund.payment]

    def _release(self, ask: ReleasePayment) -> Payment | Refusal:
        """What becomes of it is the outcome, as of a refund; an authorisation that was let go will not be captured."""
        payment = self.facts.payments[ask.payment.id]
        known = release_of(payment)
        if payment.condition is not Condition.AUTHORIZED or (known is not None and known.state is not State.FAILED):
            return refuse(Reason.STATE_FORBIDS, condition=payment.condition.value)
        word, _, code = self.outcomes.get(payment.dialect_id, self.outcome).partition(":")
        release = Release(dialect_id=ask.dialect_id, state=State(word), at=self.now, message=code or None)
        gone = release.state is State.SUCCEEDED
        self.write(
            payment,
            version=payment.version + 1,
            condition=Condition.FAILED if gone else payment.condition,
            document={**payment.document, "release": msgspec.to_builtins(release)},
            updated_at=self.now,
        )
        return self.facts.payments[payment.id]

    # --- what the engine does ---

    def _submit(self, command: Command) -> Any:
        if isinstance(command, RegisterPayment):
            for name in limited(command.payment):
                place = (command.merchant, name, command.payment.currency)
                self.facts.accounts.setdefault(place, Account(*place, 0))
        decision = decide(command, self.facts, Now(business=self.now, real=self.now))
        if not isinstance(decision, Plan):
            return decision
        apply(decision, self.facts)
        self.movements += decision.movements
        for payment in decision.payments:
            self.facts.children.setdefault(payment.id, Children())
        return decision.result

    def _movements_of(self, ask: ListMovements) -> tuple[Movement, ...]:
        account = wallet(ask.wallet)
        found = [
            each for each in self.movements if account in (each.debit, each.credit) and each.currency == ask.currency
        ]
        found = found if ask.ascending else found[::-1]
        return tuple(found[ask.offset : ask.offset + ask.limit])

    def _register(self, add: AddPayment, merchant: UUID, external: tuple[tuple[str, int], ...]) -> Any:
        dialect_id = add.dialect_id or self._next_dialect_id()
        captured = add.status == Condition.CAPTURED.value
        payment = Payment(
            merchant=merchant,
            id=self._new(),
            version=0,
            dialect=self.dialect.name,
            dialect_id=dialect_id,
            rail="sandbox",
            account="sandbox",
            reference=dialect_id,
            order=add.order,
            method=add.method,
            currency=add.currency,
            condition=Condition(add.status),
            authorized=add.amount,
            captured=add.amount if captured else 0,
            captured_at=self.now if captured else None,
            fees=add.fees,
            parts=add.parts,
            wallet=add.wallet,
            fee_wallet=add.fee_wallet,
            kind=add.kind,
            source=add.source,
            created_at=self.now,
            updated_at=self.now,
            metadata=add.metadata,
            document=add.document,
        )
        order_id = self._new() if add.order else None
        result = self._submit(RegisterPayment(payment=payment, order_id=order_id, external=external))
        return result if isinstance(result, Refusal) else result.payment

    def _see(self, payment: Payment, sighting: Sighting, document: Mapping[str, Any] | None = None) -> Payment:
        command = ObservePayment(
            merchant=payment.merchant,
            payment=payment.id,
            evidence=self._new(),
            sighting=sighting,
            document=document or {},
        )
        found: Payment = self._submit(command).payment
        return found

    def _happen(self, refund: Refund, event: Event, code: str | None, message: str | None) -> None:
        place = Place(merchant=refund.merchant, refund=refund.id, payment=refund.payment, terms=self._terms_of)
        if event is Event.ARMED:
            if refund.generation == 0:
                self._submit(Arm(**place, version=refund.version))
            return
        evidence, amount = self._new(), None
        if event is Event.WITHDRAWN and not refund.generation:
            merchant, of = refund.merchant, refund.payment
            self._submit(Nudge(merchant=merchant, refund=refund.id, payment=of, event=event, evidence=evidence, by="x"))
            return
        if event is Event.WITHDRAWN:
            event = Event.PROVIDER_CANCELED
        if refund.generation and event is Event.DRIFTED:
            event, amount = Event.EXECUTED, refund.payer - 1
        seen = Observation(
            id=evidence,
            event=event,
            digest=evidence.hex,
            amount=amount,
            failure="declined" if event is Event.REFUSED else None,
            code=code,
            message=message,
            pending_reason=code if event is Event.ACCEPTED else None,
        )
        self._submit(Observe(**place, observations=(seen,)))

    def _terms_of(self, _payment: Payment) -> Terms:
        return self._terms

    def _terms_asked(self, ask: AskRefund) -> TermsOf:
        own, check = ask.capabilities or self._terms.dialect, ask.check or self._terms.check
        terms = replace(self._terms, dialect=own, check=check)
        return lambda _payment: terms

    def _new(self) -> UUID:
        self._id += 1
        return UUID(int=self._id)

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _next_dialect_id(self) -> str:
        return str(self._next_number()) if self.dialect.numbered else str(self._new())


def arguments(route: Route, path: str) -> dict[str, str] | None:
    """What the route's `{name}` segments hold in `path`, duplicate and trailing slashes ignored; None: no match."""
    wanted, given = _segments(route.path), _segments(path)
    if len(wanted) != len(given):
        return None
    pairs = list(zip(wanted, given, strict=True))
    if any(name != value for name, value in pairs if not name.startswith("{")):
        return None
    return {name[1:-1]: value for name, value in pairs if name.startswith("{")}


def said(outgoing: Outgoing) -> Any:
    """The body as its client reads it: through the very JSON text, numbers with a point as Decimal."""
    return json.loads(text(outgoing), parse_float=Decimal)


def text(outgoing: Outgoing) -> bytes:
    """The body's bytes. A Decimal is written as a JSON number."""
    if isinstance(outgoing.body, bytes):
        return outgoing.body
    return b"" if outgoing.body is None else msgspec.json.Encoder(decimal_format="number").encode(outgoing.body)


def misfits(schema: Mapping[str, Any], outgoing: Outgoing) -> list[str]:
    """Where an answer does not satisfy a JSON schema: one sentence each, none when it does."""
    found = jsonschema_rs.validator_for(dict(schema)).iter_errors(json.loads(text(outgoing)))
    return [f"{'/'.join(map(str, each.instance_path))}: {each.message}" for each in found]


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]


def _is_asked(payment: Payment, ask: ListPayments) -> bool:
    wanted = {name: getattr(ask, name) for name in ("order", "kind", "condition", "method")}
    return (
        all(value in (None, getattr(payment, name)) for name, value in wanted.items())
        and _amounts(payment.currency, payment.authorized or payment.captured, ask)
        and _matches(payment, ask)
    )


def _within(value: Any, least: Any, most: Any) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)


def _amounts(currency: str, amount: int, ask: ListPayments | ListRefunds) -> bool:
    return ask.amount_in not in (None, currency) or _within(amount, ask.amount_from, ask.amount_to)


def _matches(payment: Payment, ask: ListPayments | ListRefunds) -> bool:
    found, kept_out = ([contains(payment.document, each) for each in some] for some in (ask.match, ask.unlike))
    return (not ask.match or any(found)) and not any(kept_out)


def contains(whole: Any, part: Any) -> bool:
    """Whether one JSON value contains another, as PostgreSQL's @> has it."""
    match whole, part:
        case Mapping(), Mapping():
            return all(name in whole and contains(whole[name], value) for name, value in part.items())
        case list() | tuple(), list() | tuple():
            return all(any(contains(each, value) for each in whole) for value in part)
        case _:
            return isinstance(whole, bool) is isinstance(part, bool) and bool(whole == part)


def _page(rows: Iterable[Any], ask: ListPayments | ListRefunds) -> tuple[Any, ...]:
    found = [each for each in rows if _within(each.created_at, ask.created_from, ask.created_to)]
    found = found if ask.ascending else found[::-1]
    return tuple(found[ask.offset : ask.offset + ask.limit])
