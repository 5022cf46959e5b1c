"""Trustly's list of transactions as we serve it: the documented filters, by age, a page at a time.

It is how a client learns whether a refund whose answer it lost was made: by the original's id and its own reference.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from moneyback.core.money import currency, to_decimal
from moneyback.core.payment import Payment
from moneyback.core.refund import Refund
from moneyback.dialect import (
    Ask,
    Caller,
    Conversation,
    FindPayment,
    FindRefund,
    Incoming,
    ListPayments,
    ListRefunds,
    Outgoing,
    PaymentOf,
    RefundsOf,
    Route,
    Total,
)
from moneyback.dialects.trustly import pages
from moneyback.dialects.trustly.filters import Known, Query, matches, parse
from moneyback.dialects.trustly.objects import list_enum, merchant_id, transaction
from moneyback.dialects.trustly.records import (
    REVERSE_PREFIX,
    SANDBOX_BANK,
    SANDBOX_IP,
    Family,
    Record,
    alone,
    authorization_record_status,
    original_record,
    original_type,
    payment_facts,
    payment_reference_of_all,
    payment_type,
    refund_record,
    reverse_record,
    root_of,
)
from moneyback.dialects.trustly.schemas import TRANSACTION_LIST
from moneyback.dialects.trustly.server import ACCEPTS, BadParameter, invalid
from moneyback.dialects.trustly.standing import children_of, family_of, stand_all
from moneyback.dialects.trustly.wire import CHECKS_ONLY, Type

NEWEST: Final = 1000
"""Of payments and of refunds, when a list is asked for by its times of change: only these are put in that order."""
EVERY: Final = frozenset(each.value for each in Type)
GIVEN_BACK: Final = frozenset({Type.REFUND.value, Type.RECLAIM.value})
ORIGINALS: Final = EVERY - GIVEN_BACK - {Type.REVERSE.value}


def of_types(types: Iterable[int]) -> tuple[Mapping[str, Any], ...]:
    """Documents of records of these types, which a document may hold as a number or as text."""
    return tuple({"transactionType": form} for each in sorted(types) for form in (str(each), each))


DEPOSITS: Final = of_types([Type.DEPOSIT.value])
"""Payments whose refunds are reclaims."""
DOCUMENTED: Final[Mapping[str, Callable[[str], tuple[Mapping[str, Any], ...]]]] = {
    "payment.merchantReference": lambda text: (
        {"payment": {"merchantReference": text}},
        {"merchantReference": text},
    ),
    "payment.description": lambda text: ({"payment": {"description": text}},),
    "payment.customer.externalId": lambda text: ({"payment": {"externalId": text}},),
    "ipAddr": lambda text: ({"ip": text},) if text != SANDBOX_IP else (),
}
"""What a text is called in the documents of the payments it leads to; () where one that says nothing has it too."""


def _without(listed: pages.Listed, match: tuple[Mapping[str, Any], ...]) -> Generator[Ask, Any, pages.Listed]:
    """The rows that do not match. Where none does it is the whole list, whose places cost less to find."""
    if not match or not (yield Total(replace(listed, match=match))):
        return listed
    return replace(listed, unlike=match)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A record, the payment it is about, and what filters need beside them."""

    record: Record
    payment: Payment
    caller: Caller
    family: Family | None = None  # only where it is asked for


def _money(row: Row, minor: int) -> Decimal:
    return to_decimal(minor, currency(row.record.currency))


KNOWN: Final = Known(
    texts={
        "originalTransactionId": lambda row: row.record.original,
        "payment.paymentId": lambda row: root_of(row.payment),
        "payment.merchantReference": lambda row: payment_reference_of_all(row.payment),
        "payment.description": lambda row: payment_facts(row.payment).get("description"),
        "payment.customer.externalId": lambda row: payment_facts(row.payment).get("externalId"),
        "payment.merchant.merchantId": lambda row: merchant_id(row.caller),
        "payment.fingerprint": lambda _row: "sandbox",
        "payment.paymentProvider.paymentProviderId": lambda _row: str(SANDBOX_BANK["paymentProviderId"]),
        "paymentProviderTransaction.ppTrxStatusCode": lambda row: row.record.code,
        "paymentProviderTransaction.paymentProviderTransactionId": lambda row: row.record.id,
        "ipAddr": lambda row: row.record.ip,
    },
    numbers={
        "transactionType": lambda row: row.record.type.value,
        "transactionStatus": lambda row: row.record.status.value,
        "payment.paymentType": lambda row: payment_type(row.payment).value,
        "payment.verification.status": lambda _row: 1,
        "payment.authorization.status": lambda row: authorization_record_status(row.family.root).value,
    },
    switches={"payment.fiAccount.verified": lambda _row: True},
    money={
        "amount": lambda row: _money(row, row.record.amount),
        "paid": lambda row: _money(row, row.record.sums.paid),
        "refunded": lambda row: _money(row, row.record.sums.refunded),
    },
    times={
        "createdAt": lambda row: row.record.created_at,
        "updatedAt": lambda row: row.record.updated_at,
        "processedAt": lambda row: row.record.processed_at,
        "completedAt": lambda row: row.record.completed_at,
    },
    ignored=("ignoreUserPortalTransactions",),
)
"""The documented filters (provider docs: OpenAPI, list transactions). Bank accounts and names are not kept."""


def list_transactions(incoming: Incoming, caller: Caller) -> Conversation:
    """Transactions that match (provider docs: API introduction, paging; OpenAPI, list transactions)."""
    try:
        query = parse(incoming.query, KNOWN)
        rows = yield from Finder(query, caller).page()
    except (BadParameter, pages.TooMany) as bad:
        return invalid(str(bad))
    families = dict[str, Family]()
    shown = []
    for row in rows:
        if root_of(row.payment) not in families:
            families[root_of(row.payment)] = yield from family_of(row.payment)
        shown.append(transaction(row.record, families[root_of(row.payment)], caller, list_enum(caller)))
    return Outgoing(body={"transactions": shown, "startIndex": query.start, "itemsPerPage": query.count})


class Finder:
    """Finds one page of transactions, and remembers the payments that were met on the way."""

    def __init__(self, query: Query, caller: Caller) -> None:
        self._query = query
        self._caller = caller
        self._payments: dict[UUID, Payment] = {}

    def page(self) -> Generator[Ask, Any, list[Row]]:
        """The rows of the page, by whichever way shows the least of what was not asked for."""
        query = self._query
        relatives = yield from self._relatives()
        if relatives is not None:
            return self._sorted(relatives)
        if query.order == "updatedAt":
            recent: list[Row] = []
            for listed in (yield from self._lists()):
                rows: tuple[Any, ...] = yield pages.newest(listed, NEWEST)
                for each in rows:
                    recent += yield from self._matching(each)
            return self._sorted(recent)
        whole = (yield from self._whole()) if query.of_types else None
        if whole is None:
            lists = yield from self._lists()
            return (yield from pages.searched(lists, self._matching, query.start, query.count))
        return (yield from self._plain(whole))

    @property
    def _types(self) -> frozenset[int]:
        """The types that are asked for; all of them where none is named."""
        return frozenset(self._query.numbers.get("transactionType", ())) or EVERY

    # --- where to look -----------------------------------------------------------------------------------------------

    def _lists(self) -> Generator[Ask, Any, tuple[pages.Listed, ...]]:
        """The engine's lists that may hold what is asked for, narrowed to what an index leads to."""
        payments, refunds = self._listed_payments(), self._listed_refunds()
        lists: list[pages.Listed] = []
        named = yield from self._named()
        if named is not None:
            lists += named
        else:
            originals = self._types - GIVEN_BACK
            narrow = not originals & {Type.CAPTURE, Type.REVERSE}  # a capture may not say that it is one
            lists.append(replace(payments, match=of_types(originals)) if narrow else payments)
            reclaims = self._types & GIVEN_BACK == {Type.RECLAIM}
            lists.append(replace(refunds, match=DEPOSITS) if reclaims else refunds)
        nothing = ListRefunds if not self._types & GIVEN_BACK else ListPayments if self._types <= GIVEN_BACK else ()
        return tuple(each for each in lists if not isinstance(each, nothing))

    def _named(self) -> Generator[Ask, Any, list[pages.Listed] | None]:
        """The lists of the payments that a text leads to, and of their refunds; None where no text does."""
        texts, payments, refunds = self._query.texts, self._listed_payments(), self._listed_refunds()
        if (number := texts.get("paymentProviderTransaction.paymentProviderTransactionId")) is not None:
            refund: Refund | None = yield FindRefund(number)
            lists = yield from self._of_number(number.removeprefix(REVERSE_PREFIX))
            lists += yield from self._of_number(number)
            return lists + ([replace(refunds, payment=refund.payment)] if refund is not None else [])
        for name, match in DOCUMENTED.items():
            if name in texts and (found := match(texts[name])):
                lists = [replace(payments, match=found), replace(refunds, match=found)]
                if name == "payment.merchantReference":  # else it is the order, else the payment's own id
                    order = texts[name]
                    lists += [replace(payments, order=order), replace(refunds, order=order)]
                    lists += yield from self._of_number(order)
                return lists
        return None

    def _of_number(self, number: str) -> Generator[Ask, Any, list[pages.Listed]]:
        """The payment with this id as a list of the moment it came in, and its refunds."""
        payment: Payment | None = yield FindPayment(number)
        if payment is None:
            return []
        at = payment.created_at
        moment = replace(self._listed_payments(), created_from=at, created_to=at)
        return [moment, replace(self._listed_refunds(), payment=payment.id)]

    def _whole(self) -> Generator[Ask, Any, list[pages.Listed] | None]:
        """The lists whose every row is shown, where there are such: their places are known without being read."""
        originals, given = self._types - GIVEN_BACK, self._types & GIVEN_BACK
        if self._query.plain:
            return [self._listed_payments(), self._listed_refunds()]
        if Type.REVERSE in originals:
            return None
        lists: list[pages.Listed] = []
        payments, refunds = self._listed_payments(), self._listed_refunds()
        if Type.CAPTURE in originals:
            lists.append((yield from _without(payments, of_types(ORIGINALS - originals))))
        elif originals:
            lists.append(replace(payments, match=of_types(originals)))
        if given == {Type.RECLAIM}:
            lists.append(replace(refunds, match=DEPOSITS))
        elif given:
            lists.append((yield from _without(refunds, DEPOSITS if given == {Type.REFUND} else ())))
        return lists

    def _listed_payments(self) -> ListPayments:
        begin, end = self._query.created
        return ListPayments(created_from=begin, created_to=end, ascending=self._query.ascending)

    def _listed_refunds(self) -> ListRefunds:
        begin, end = self._query.created
        return ListRefunds(created_from=begin, created_to=end, ascending=self._query.ascending)

    def _plain(self, lists: list[pages.Listed]) -> Generator[Ask, Any, list[Row]]:
        """Where every row is shown, places are known without looking at what comes before."""
        start, count = self._query.start, self._query.count
        if not count:
            return []
        if len(lists) == 1:
            lists = [replace(lists[0], offset=start)]
        elif lists:
            payments, refunds = lists
            assert isinstance(payments, ListPayments) and isinstance(refunds, ListRefunds)
            places = yield from pages.split(payments, refunds, start)
            if places is None:
                return []
            lists = [replace(payments, offset=places[0]), replace(refunds, offset=places[1])]
        return (yield from pages.searched(tuple(lists), self._matching, 0, count, chunk=count))

    # --- what belongs to one payment ---------------------------------------------------------------------------------

    def _relatives(self) -> Generator[Ask, Any, list[Row] | None]:
        """What an original, or a payment, led to; None when neither is named, or nobody knows the original."""
        texts = self._query.texts
        number = texts.get("originalTransactionId") or texts.get("payment.paymentId")
        if number is None:
            return None
        payment: Payment | None = yield FindPayment(number)
        if payment is None:
            return None if "originalTransactionId" in texts else []
        sources: list[Payment] = [payment] if "originalTransactionId" not in texts else []
        sources += yield from self._made_of(payment)
        rows: list[Row] = []
        standing = yield from stand_all(tuple(sources))
        for each in standing:
            rows += yield from self._matching(each)
        for each in {each.id: each for each in (payment, *standing)}.values():
            rows += yield from self._given_back(each)
        return rows

    def _made_of(self, payment: Payment) -> Generator[Ask, Any, list[Payment]]:
        """Records that an authorisation, or a preauthorisation, led to."""
        if original_type(payment) not in CHECKS_ONLY:
            return []
        root = payment
        if root_of(payment) != payment.dialect_id:
            root = (yield FindPayment(root_of(payment))) or payment
        found: list[Payment] = []
        for kind in (Type.CAPTURE, Type.PREAUTHORIZATION, Type.DEPOSIT):
            found += yield from children_of(root, kind)
        return found

    def _given_back(self, payment: Payment) -> Generator[Ask, Any, list[Row]]:
        """Refunds, reclaims and returns of one record."""
        if original_type(payment) in CHECKS_ONLY:
            return []
        rows: list[Row] = []
        refunds: tuple[Refund, ...] = yield RefundsOf(payment.id)
        for each in refunds:
            rows += yield from self._kept(refund_record(each, payment), payment)
        if payment.clawed_back:
            rows += yield from self._kept(reverse_record(payment), payment)
        return rows

    # --- rows --------------------------------------------------------------------------------------------------------

    def _matching(self, source: pages.Source) -> Generator[Ask, Any, list[Row]]:
        """The records that a payment or refund is shown as, those that match."""
        if isinstance(source, Refund):
            if source.payment not in self._payments:
                self._payments[source.payment] = yield PaymentOf(source.payment)
            payment = self._payments[source.payment]
            return (yield from self._kept(refund_record(source, payment), payment))
        (payment,) = yield from stand_all((source,))
        self._payments[payment.id] = payment
        rows = yield from self._kept(original_record(payment), payment)
        if payment.clawed_back and Type.REVERSE in self._query.numbers.get("transactionType", ()):
            rows += yield from self._kept(reverse_record(payment), payment)
        return rows

    def _kept(self, record: Record, payment: Payment) -> Generator[Ask, Any, list[Row]]:
        family = alone(payment)
        if "payment.authorization.status" in self._query.numbers:
            family = yield from family_of(payment)
        row = Row(record=record, payment=payment, caller=self._caller, family=family)
        return [row] if matches(self._query, KNOWN, row) else []

    def _sorted(self, rows: list[Row]) -> list[Row]:
        """By time, then by number, which grows: two records of one moment keep their order from page to page."""
        query = self._query

        def age(row: Row) -> tuple[Any, int, str]:
            record = row.record
            at = record.updated_at if query.order == "updatedAt" else record.created_at
            return at, len(record.id), record.id

        once = {row.record.id: row for row in rows}
        ordered = sorted(once.values(), key=age, reverse=not query.ascending)
        return ordered[query.start : query.start + query.count]


ROUTES: Final = (
    Route(
        method="GET",
        path="/api/v1/transactions",
        handle=list_transactions,
        kind="relayed",
        accepts=ACCEPTS,
        summary="List transactions, such as the refunds of an original",
        response_schema=TRANSACTION_LIST,
    ),
)
