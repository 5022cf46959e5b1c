"""The contract that both halves of a provider fulfil. No provider, no network, no clock lives here.

A provider is one folder that declares itself in one `Dialect`. Its two halves are pure generators:

- `server`: a handler is given an `Incoming` request, yields *asks* from the small closed set below, is sent their
  answers, and returns an `Outgoing` response. One driver in the flows answers the asks; tests use a table.
- `client`: a conversation yields `Call`s, is sent `Reply`s, and returns what it saw. A connection that failed before
  the first byte is thrown in as `NotConnected`, an answer that never came as `AnswerLost`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Literal
from uuid import UUID

import msgspec

from moneyback.core import release
from moneyback.core.commands import Keyed, Observation, RequestRefund, Sighting
from moneyback.core.payment import ANYTHING, Amounts, Asked, Capabilities, Condition, Parts, Payment, PaymentKind
from moneyback.core.refund import Refund, State
from moneyback.core.refusals import NATIVE_PRECEDENCE, Failing, Reason

# --- what arrives and what is answered -------------------------------------------------------------------------------


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """One request, decoded: bounded, free of NUL and lone surrogates, numbers exact.

    `body` is the JSON value (integers as int, other numbers as Decimal), the form's fields as a dict of strings (a
    repeated field keeps its last value), or None when there was no body. Header names are lower case.
    """

    method: str
    path: str
    arguments: Mapping[str, str] = {}
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = {}
    body: Any = None
    encoding: Literal["none", "json", "form", "multipart"] = "none"
    base: str = ""  # scheme, host and prefix under which the client reached the dialect: what its own paths follow
    at: datetime | None = None  # business time of arrival, for what is answered without a handler
    id: str = ""  # of this request, drawn by the mount, for errors that carry one

    def asked(self, name: str, default: str | None = None) -> str | None:
        """The last query parameter of that name."""
        return next((value for key, value in reversed(self.query) if key == name), default)


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """One response. `body` is a JSON-encodable value, or bytes sent as they are; None sends an empty body."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = {}
    media_type: str = "application/json"


class Fault(Enum):
    """Outcomes a mount meets before or instead of a handler; each dialect says them in its provider's words."""

    UNAUTHENTICATED = "unauthenticated"  # no, wrong, or somebody else's credentials
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"  # no such path
    METHOD_NOT_ALLOWED = "method_not_allowed"
    BAD_BODY = "bad_body"  # malformed, too deep, NUL, lone surrogate, integer beyond 63 bits, wrong media type
    TOO_LARGE = "too_large"
    UNAVAILABLE = "unavailable"  # nothing was admitted; the answer carries Retry-After
    INTERNAL = "internal"


class Presented(msgspec.Struct, frozen=True):
    """The credentials a request carries: `user` where the scheme has one (Basic), and the secret or bearer token."""

    secret: str
    user: str | None = None


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking, once authenticated. `profile` is the dialect's own settings of that credential (ids it prints)."""

    merchant: UUID
    name: str = ""
    profile: Mapping[str, Any] = {}
    credential: UUID | None = None  # which of the merchant's credentials was presented; None on a public route


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One path of the provider's API.

    `path` has `{name}` segments. `kind`: guarded gives money back, owned is answered by us in any mode, relayed goes
    to the provider unchanged when Moneyback stands in front of one. `accepts` lists the encodings of its body.
    """

    method: str
    path: str
    handle: Callable[[Incoming, Caller], Conversation]
    kind: Literal["guarded", "owned", "relayed"] = "owned"
    accepts: tuple[str, ...] = ("json",)
    summary: str = ""
    request_schema: Mapping[str, Any] = {}
    response_schema: Mapping[str, Any] = {}
    public: bool = False  # needs no credentials
    guards: Callable[[Incoming], bool] = lambda _incoming: True
    """Whether this request of a guarded route gives money back; one that does not is relayed."""
    theirs: bool = False
    """Whether, in front of a provider, it alone shows what a GET names beside refunds of ours: not all is kept here."""


# --- what a handler may ask ------------------------------------------------------------------------------------------


class FindPayment(msgspec.Struct, frozen=True):
    """The caller's payment with this dialect id, or None."""

    dialect_id: str


class FindRefund(msgspec.Struct, frozen=True):
    """The caller's refund with this dialect id (or a provider's id, which stays an alias for ever), or None."""

    dialect_id: str


class PaymentOf(msgspec.Struct, frozen=True):
    """The payment of a refund, by its internal id, as it stands now."""

    payment: UUID


class RefundOf(msgspec.Struct, frozen=True):
    """The caller's refund with this internal id, as it stands now, or None."""

    refund: UUID


class RefundsOf(msgspec.Struct, frozen=True):
    """All refunds of a payment, oldest first: tuple[Refund, ...]."""

    payment: UUID


class ListPayments(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's payments in this dialect, newest first unless `ascending`: tuple[Payment, ...].

    Both ends of a span belong to it. `amount`: what was authorised, or else came in, in minor units; with `amount_in`
    the span is one of that currency, and what is in another is let through. `match`: JSON that the payment's document
    contains, member by member and however deep; of several, one at least. `unlike`: JSON that it does not contain.

    What is asked for by kind, method and time of creation alone costs the same however far within the list; by order,
    condition or match it grows with what is found; by amount or unlike it grows with the list, every row of which is
    held against it.
    """

    order: str | None = None
    kind: PaymentKind | None = None
    condition: Condition | None = None
    method: str | None = None
    match: tuple[Mapping[str, Any], ...] = ()
    unlike: tuple[Mapping[str, Any], ...] = ()
    amount_from: int | None = None
    amount_to: int | None = None
    amount_in: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    ascending: bool = False
    offset: int = 0
    limit: int = 25


class ListRefunds(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's refunds in this dialect, newest first unless `ascending`: tuple[Refund, ...].

    As with payments; `match` is of the refund's payment, `amount` what the payer gets. States, amounts and times of
    change are held against every refund between the times of creation: no index is written for them with each refund.
    """

    payment: UUID | None = None
    order: str | None = None
    states: frozenset[State] = frozenset()
    match: tuple[Mapping[str, Any], ...] = ()
    unlike: tuple[Mapping[str, Any], ...] = ()
    amount_from: int | None = None
    amount_to: int | None = None
    amount_in: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    updated_from: datetime | None = None
    updated_to: datetime | None = None
    ascending: bool = False
    offset: int = 0
    limit: int = 25


class AskRefund(msgspec.Struct, frozen=True, kw_only=True):
    """Admit a refund of `payment`. Answered with Admitted, Joined, Replayed or Refusal; sending has then begun.

    `distinct` is the client's own value that makes two requests differ although their bodies are equal otherwise
    (None: the fields of `request` alone decide). `request` is what must be remembered to answer later.
    """

    payment: Payment
    asked: Asked = Asked()
    currency: str | None = None
    reason: str | None = None
    reference: str | None = None
    destination: str | None = None
    parts: Parts | None = None
    metadata: Mapping[str, Any] = {}
    request: Mapping[str, Any] = {}
    distinct: str | None = None
    dialect_id: str | None = None  # None: the next number of the dialect's sequence
    key: Keyed | None = None
    """The client's idempotency key: goes into the command as it is, and lifts the joining of equal requests. Answered
    with Replayed when the key was used before."""
    capabilities: Callable[[Payment], Capabilities] | None = None  # in place of the dialect's, for this request alone
    check: Callable[[Payment, Amounts, RequestRefund], list[Failing]] | None = None  # the same, for the dialect's check


Release = release.Release
release_of = release.release_of


class ReleasePayment(msgspec.Struct, frozen=True, kw_only=True):
    """Let go of an authorised payment of which nothing was captured; it alone states no amount.

    Answered with the Payment as it stands once the release is no longer ready or sending, at most `seconds` later:
    `release_of` says how. A Refusal when the payment is not, or no longer, authorised and nothing more, or when an
    earlier release of it has not failed; nothing has changed then. `dialect_id` is the release's id for its client.
    """

    payment: Payment
    dialect_id: str
    seconds: float = 0


class AskOrderRefund(msgspec.Struct, frozen=True, kw_only=True):
    """Refund payments of one order, all or nothing: one AskRefund a payment. Grouped or Refusal."""

    order: str
    legs: tuple[AskRefund, ...]


class Await(msgspec.Struct, frozen=True):
    """Wait until the refund is no longer ready or sending, at most `seconds`: (Refund, Payment) as they stand then."""

    refund: Refund
    seconds: float


class Instant(msgspec.Struct, frozen=True):
    """The business time now: datetime."""


class NextNumber(msgspec.Struct, frozen=True):
    """The next id of the dialect's sequence, as an int."""


class NewId(msgspec.Struct, frozen=True):
    """A fresh UUID."""


class LoadDocument(msgspec.Struct, frozen=True):
    """The caller's document of this kind and id: a dict, or None. Documents hold what core need not understand."""

    kind: str
    id: str


class SaveDocument(msgspec.Struct, frozen=True):
    """Keep a document (replacing the one before). Money facts never live in documents."""

    kind: str
    id: str
    data: Mapping[str, Any]


class ListDocuments(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's documents of a kind by age: tuple[dict, ...]. `match` compares top-level members for equality.

    Times are those at which a document was saved first and last, both ends of a span belong to it. All of a kind cost
    the same however far within, some of it as much as there are.
    """

    kind: str
    match: Mapping[str, Any] = {}
    created_from: datetime | None = None
    created_to: datetime | None = None
    updated_from: datetime | None = None
    updated_to: datetime | None = None
    ascending: bool = True
    offset: int = 0
    limit: int = 25


class DropDocument(msgspec.Struct, frozen=True):
    """Remove a document: whether there was one."""

    kind: str
    id: str


class Total(msgspec.Struct, frozen=True):
    """How many rows a list has in all, its own offset and limit left aside: int."""

    of: ListPayments | ListRefunds | ListDocuments


class BalanceOf(msgspec.Struct, frozen=True):
    """What stands on one of the caller's wallets, in minor units: int, 0 for one that nothing moved on."""

    wallet: str
    currency: str


class ListMovements(msgspec.Struct, frozen=True, kw_only=True):
    """The movements of one of the caller's wallets, newest first unless `ascending`: tuple[Movement, ...]."""

    wallet: str
    currency: str
    ascending: bool = False
    offset: int = 0
    limit: int = 25


class AddPayment(msgspec.Struct, frozen=True, kw_only=True):
    """Register money that came in, or moved between wallets, through the dialect's own calls: the new Payment.

    `amount` is what was captured, or authorised when `status` says so. A `source` wallet that has too little is a
    Refusal (insufficient_funds), and nothing is registered.
    """

    amount: int
    currency: str
    amount_known: bool = True  # False: it came in, and nobody says how much; `amount` is 0 then
    status: str = "captured"
    method: str | None = None
    order: str | None = None
    fees: int = 0
    parts: Parts | None = None
    dialect_id: str | None = None
    document: Mapping[str, Any] = {}
    metadata: Mapping[str, Any] = {}
    wallet: str | None = None
    fee_wallet: str | None = None
    kind: PaymentKind = PaymentKind.PAYIN
    source: str | None = None


class SeePayment(msgspec.Struct, frozen=True, kw_only=True):
    """Record what happened to a payment (`captured`, …) through the dialect's own calls: the Payment after it.

    `document` is laid over the payment's own, member by member, in the same commit; a sighting that was known already
    changes nothing else then.
    """

    payment: Payment
    sighting: Sighting
    document: Mapping[str, Any] = {}


class LeaveToProvider(msgspec.Struct, frozen=True):
    """From here on only a provider can answer: in front of one the conversation ends. Elsewhere nothing happens: None.

    A GET is relayed. So is a guarded request as long as nothing has come in of the payment with this dialect id, or
    its provider has none; else it is forbidden.
    """

    dialect_id: str | None = None


class NewKeyPair(msgspec.Struct, frozen=True):
    """A fresh RSA key pair to sign notifications with: KeyPair."""


class KeyPair(msgspec.Struct, frozen=True):
    """A key pair: the public half PEM-encoded, the private one sealed, for Sign alone to open.

    Nothing can be signed with a pair that was drawn where nothing can be sealed; its `private` is empty.
    """

    public: str
    private: str


class Sign(msgspec.Struct, frozen=True):
    """The signature of `data` by a private key as NewKeyPair has sealed it: bytes, RSA PKCS#1 v1.5 over SHA-256.

    None where the key cannot be opened: it is none, another merchant's, or was sealed with another master key.
    """

    sealed: str
    data: bytes


class Mac(msgspec.Struct, frozen=True):
    """The HMAC of `data` under the caller's own secret at this dialect, by `hash` ("sha1", "sha256", "sha512"): bytes.

    With `sealed`, under the secret that an endpoint's document holds sealed, in place of the caller's. `prefixed`: no
    HMAC but the plain hash of the secret followed by `data`, where a provider signs so. None where the secret is not
    kept so that it can be used, or cannot be opened.
    """

    data: bytes
    hash: Literal["sha1", "sha256", "sha512"]
    sealed: str = ""
    prefixed: bool = False


class Tell(msgspec.Struct, frozen=True):
    """Keep a delivery for a client's own program, of something that is no payment's or refund's event: None.

    `id` names what happened: told again under the same id, hook and caller, it is there already.
    """

    id: str
    delivery: Delivery


class ActFor(msgspec.Struct, frozen=True):
    """On a public route alone: from here on every ask is for this merchant, whom the address itself names: None.

    For pages that are meant for whoever was given their address, such as a payer's. What such a route finds and
    changes must be named by an id that cannot be guessed. A merchant nobody knows owns nothing.
    """

    merchant: UUID


class IssueToken(msgspec.Struct, frozen=True):
    """A bearer token that stands for the caller's credentials for `seconds` of business time: str."""

    seconds: int


class KeyedAnswer(msgspec.Struct, frozen=True):
    """What was answered under an Idempotency-Key of this dialect: (status, bytes), or None for a key nobody used.

    A key whose request has not been answered yet is waited for, at most `seconds`. Once its owner counts as dead, or
    the wait is over, `render` says what the refund as it stands looks like; a dead owner's answer is stored first.
    """

    key: str
    seconds: float = 0
    render: Callable[[Refund, Payment], tuple[int, bytes]] | None = None


class TakeKey(msgspec.Struct, frozen=True):
    """Use up an Idempotency-Key with an answer that admitted nothing: None, or the KeyRow that was there before."""

    key: str
    status: int
    answer: bytes


class KeepAnswer(msgspec.Struct, frozen=True):
    """Write down what was answered under the key of an admitted refund, unless something already was: None."""

    key: str
    status: int
    answer: bytes


Ask = (
    FindPayment
    | FindRefund
    | PaymentOf
    | RefundOf
    | RefundsOf
    | ListPayments
    | ListRefunds
    | ListMovements
    | BalanceOf
    | Total
    | AskRefund
    | ReleasePayment
    | AskOrderRefund
    | Await
    | Instant
    | NextNumber
    | NewId
    | LoadDocument
    | SaveDocument
    | DropDocument
    | ListDocuments
    | AddPayment
    | SeePayment
    | LeaveToProvider
    | NewKeyPair
    | Sign
    | Mac
    | Tell
    | ActFor
    | IssueToken
    | KeyedAnswer
    | TakeKey
    | KeepAnswer
)
Conversation = Generator[Ask, Any, Outgoing]


# --- the client half -------------------------------------------------------------------------------------------------


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request to a provider. `path` follows the rail's base URL."""

    method: str
    path: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    query: tuple[tuple[str, str], ...] = ()


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's answer."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""


class NotConnected(Exception):
    """The connection failed before the first byte was written: provably not sent."""


class AnswerLost(Exception):
    """Bytes may have left and no readable answer came: the outcome is unknown."""


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a connector needs to send one armed refund."""

    payment: Payment
    refund: Refund
    mark: str  # of this attempt
    key: str  # of this refund, the same for every attempt
    pre_read: Mapping[str, Any] = {}
    """What was read before this attempt was armed, as `look` is given it; empty where nothing was."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as its provider shows it now. None where it shows nothing of the kind."""

    left: int | None = None
    refund_ids: tuple[str, ...] | None = None
    seen: tuple[str, ...] | None = None
    """Whatever else is there before sending and must not be taken for ours afterwards, in the connector's words."""
    sightings: tuple[Sighting, ...] = ()


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What a look found: words about our refund, and about its payment."""

    observations: tuple[Observation, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    shown: Mapping[str, Any] = {}  # figures for the person who may have to answer


class SeenRefund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund as a provider's list or object shows it; whether it is one of ours is the reader's question."""

    provider_id: str
    payment: str  # the provider's id of what was refunded: `Payment.reference`
    amount: int  # what the payer gets, minor units; 0: its provider does not say
    currency: str | None = None
    fee_return: int = 0
    status: Literal["pending", "succeeded", "failed", "returned"] = "succeeded"
    mark: str | None = None  # ours, if it carries one
    code: str | None = None
    at: datetime | None = None


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that its provider knows and we did not, ready to be registered."""

    payment: AddPayment  # `dialect_id` is the provider's id; `document` what its dialect needs to show it
    reference: str
    captured_at: datetime | None = None
    refunds: tuple[SeenRefund, ...] = ()  # made before
    left: int | None = None  # the provider's own remainder, where it shows one
    sightings: tuple[Sighting, ...] = ()  # what else had happened to it: bank returns, disputes


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One step through a provider's refunds: what was there, and from where to go on.

    `more`: there is another page now. The cursor is the connector's own words; it is kept and given back as it is.
    """

    refunds: tuple[SeenRefund, ...] = ()
    cursor: Mapping[str, Any] = {}
    more: bool = False


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider sent to a rail's own address, as it came."""

    method: str
    headers: Mapping[str, str] = {}  # lower-case names
    query: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What a notification is about. It is never evidence by itself: what it names is read.

    `payments` and `refunds` are the provider's ids. `digest` tells a repetition from news.
    """

    digest: str
    payments: tuple[str, ...] = ()
    refunds: tuple[str, ...] = ()
    answer: Outgoing = Outgoing(status=200)  # what the provider expects to be told


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One request that tells a client's own program something. `hook` names what it was sent because of.

    `again_after`: when it is tried again, from one try to the next, where the provider says so; () never, None as ours.
    `received`: with which answer it has arrived, `within` how much time. `endpoint_headers`: more headers, sealed as an
    endpoint's document holds them.
    """

    url: str
    hook: str
    method: str = "POST"
    headers: Mapping[str, str] = {}
    body: bytes = b""
    again_after: tuple[timedelta, ...] | None = None
    received: Literal["2xx", "200"] = "2xx"
    within: timedelta = timedelta(seconds=15)
    endpoint_headers: str = ""


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the event log, with its payment and its refund as they are now.

    `type` is the event's (`payment.captured`, `refund.succeeded`), `id` the same whenever it is told again; `sequence`
    counts the changes of the payment or of the refund. `data` holds the figures of that moment.
    """

    id: UUID
    type: str
    at: datetime
    sequence: int
    data: Mapping[str, Any]
    payment: Payment
    refund: Refund | None = None


class Forged(Exception):
    """A notification whose signature is not the provider's. Nothing is read because of it."""


Reading = Generator[Call, Reply, Figures]
Sent = Generator[Call, Reply, tuple[Observation, ...]]
Looking = Generator[Call, Reply, Looked]
Fetching = Generator[Call, Reply, Fetched | None]
Listing = Generator[Call, Reply, Listed]


def _as_it_is(call: Call) -> Generator[Call, Reply, Reply]:
    return (yield call)


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider is called.

    `rung`: 4 key and look-up by key, 3 key only, 2 our mark echoed on a readable refund, 1 a cumulative counter or
    child list, 0 nothing.
    """

    send: Callable[[Sending], Sent]
    read: Callable[[Payment], Reading]
    look: Callable[[Sending, Mapping[str, Any]], Looking]
    rung: int
    processing: timedelta = timedelta(seconds=60)
    list_lag: timedelta = timedelta(seconds=10)
    capabilities: Callable[[Payment], Capabilities] = lambda _payment: ANYTHING
    credentials: tuple[str, ...] = ()
    """Names of what the rail keeps secret and `authorize` is given."""
    optional: tuple[str, ...] = ()
    """Names of what it may keep secret as well, such as what notifications are signed with."""
    authorize: Callable[[Mapping[str, str], Call], Call] = lambda _credentials, call: call
    """The call with the headers that prove who calls, from the rail's credentials by name (every one of `credentials`).

    Conversations never see them: the rail's exchange adds them to each call as it leaves.
    """
    release: Callable[[Sending], Sent] | None = None
    """Lets an authorisation go; the Sending's refund is a stand-in of amount 0. None: the provider has no such call."""
    fetch: Callable[[str], Fetching] | None = None
    """The payment with this id in the dialect's own words, with all that was refunded of it; None: there is none."""
    list_refunds: Callable[[datetime, Mapping[str, Any]], Listing] | None = None
    """One page of the account's refunds made since then, going on from a cursor ({} begins). None: it has no list."""
    relay: Callable[[Call], Generator[Call, Reply, Reply]] = _as_it_is
    """How a client's own call is made for it: whatever must be asked first, then the call itself."""
    profile: Callable[[Mapping[str, str], str], Mapping[str, Any]] = lambda _credentials, _account: {}
    """What the dialect must know of a caller who uses the account's own credentials (given those, and the account)."""
    hear: Callable[[Notification, Mapping[str, str]], Heard] | None = None
    """What a notification is about, given the rail's credentials. Raises Forged, or ValueError for what it cannot read.
    None: the provider sends none."""


# --- the declaration -------------------------------------------------------------------------------------------------


class Samples(msgspec.Struct, frozen=True, kw_only=True):
    """What a sandbox shows of this dialect: how payments are seeded and printed in the ready file."""

    payments: tuple[AddPayment, ...]
    credentials: Callable[[Callable[[int], str]], tuple[Presented, Mapping[str, Any]]]
    """Draw the demo credentials (given a source of random text of n characters) and their profile."""
    section: Callable[[str, Presented, Mapping[str, Any], tuple[Payment, ...]], Mapping[str, Any]]
    """The ready file's section: base URL, credentials, profile, payments."""
    curl: Callable[[Mapping[str, Any]], str]
    """A command ready to paste that refunds the first payment of that section."""
    documents: tuple[SaveDocument, ...] = ()
    """What is kept for the demo merchant beside its payments, because a refund may name it (bank accounts, wallets)."""


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One provider, declared. The table of contents of its folder."""

    name: str
    title: str
    routes: tuple[Route, ...]
    presented: Callable[[Incoming], Presented | None]
    fault: Callable[[Fault, Incoming | None], Outgoing]
    capabilities: Callable[[Payment], Capabilities]
    precedence: tuple[Reason, ...] = NATIVE_PRECEDENCE
    kept: frozenset[Reason] = frozenset()
    check: Callable[[Payment, Amounts, RequestRefund], list[Failing]] | None = None
    intervals: bool = False
    numbered: bool = True  # its ids are numbers of one sequence; else UUIDs
    told_at_end: bool = False  # a refund has no id that its client is told before it has ended
    base_path: str = ""  # what follows the prefix in the ready file's base_url
    twin_port: int = 9000  # where its twin listens unless told otherwise
    caseless: bool = False  # the words of its paths are compared without case; what a `{name}` holds is kept as it is
    payment_document: Callable[[Mapping[str, Any], datetime], Mapping[str, Any]] = lambda data, _now: data
    """Checks and completes `dialect_data` of a payment registered natively. Raises ValueError with a sentence."""
    wallets: Callable[[Mapping[str, Any], str], tuple[str | None, str | None]] = lambda _document, _currency: (
        None,
        None,
    )
    """The wallet that a pay-in of this document and currency is credited to, and the one of its fees, where whoever
    registers it names none. Asked where money is pretended only: what stands on a real wallet its provider knows."""
    resend: Callable[[Notification, Caller], Generator[Ask, Any, tuple[Delivery, ...]]] | None = None
    """What the caller's own hooks are told of a notification that came for its rail: in the provider's form, signed as
    those hooks expect. None: the provider has no hooks that could be kept here."""
    tell: Callable[[Happened, Caller], Generator[Ask, Any, tuple[Delivery, ...]]] | None = None
    """What a client's own program is told of something that happened here: in the provider's form, signed as it would.
    None: the provider tells nothing by itself."""
    endpoints: bool = False  # addresses that its provider's dashboard takes are registered here as documents "endpoint"
    natively: Callable[[Payment, str | None], Mapping[str, Any]] | None = None
    """What a refund that was asked for natively must remember to be shown as one of this dialect's, given the client's
    reference; it gets the dialect's next number. None: such refunds stay the native API's, and keep its ids."""
    samples: Samples | None = None
    client: Client | None = None
    scrub: tuple[str, ...] = ()  # names of members and headers that hold secrets
