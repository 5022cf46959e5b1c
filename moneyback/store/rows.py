"""Rows into values and back.

Facts that are locked, summed or searched are columns; the rest of a value is one JSON document in `details`, without
the members that are at their default. Both directions are derived from the value's own fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, TypeVar

import msgspec

from moneyback.core.ledger import Account, Kind, Movement
from moneyback.core.payment import Condition, Payment
from moneyback.core.records import Case, Dispute, DisputeStatus, EventRow, External, KeyRow, Order
from moneyback.core.refund import Attempt, Evidence, Grade, Refund, State

T = TypeVar("T", bound=msgspec.Struct)
Row = Mapping[str, Any]

_encode = msgspec.json.Encoder().encode


class Mapper:
    """How one kind of value lies in its table: its columns, then what is not a column as one JSON document.

    The document is the single member `json`, or everything left over, called details.
    """

    def __init__(
        self,
        kind: type[msgspec.Struct],
        names: Mapping[str, str],
        enums: Mapping[str, type] | None = None,
        json: str | None = None,
    ) -> None:
        self.kind = kind
        self.all_columns = (*names.values(), *([json] if json else []))
        self._fields = tuple(names)
        self._take = attrgetter(*names)
        self._enums = dict(enums or {})
        self._enum_places = [self._fields.index(name) for name in self._enums]
        self._defaults = {
            field.name: field.default if field.default is not msgspec.NODEFAULT else _made(field.default_factory)
            for field in msgspec.structs.fields(kind)
            if field.name not in names
        }
        self._rest = tuple(self._defaults)
        self._json = json
        if self._rest and not json:
            self.all_columns += ("details",)
        self._convert = _detail_decoder(kind, self._rest)

    def values(self, value: msgspec.Struct) -> list[Any]:
        """The value's columns, its details last if it has any."""
        found = list(self._take(value))
        for place in self._enum_places:
            found[place] = found[place].value
        if self._json:
            found.append(_encode(getattr(value, self._json)).decode())
        elif self._rest:
            found.append(self._details(value))
        return found

    def rows(self, values: Iterable[msgspec.Struct]) -> list[list[tuple[Any, ...]]]:
        """One array of rows as the only parameter of a set-based statement; no parameter where there are no rows."""
        found = [tuple(self.values(each)) for each in values]
        return [found] if found else []

    def arrays(self, values: Iterable[msgspec.Struct]) -> list[Sequence[Any]]:
        """One array a column, for a set-based statement."""
        return list(zip(*(self.values(each) for each in values), strict=True))

    def value(self, row: Any) -> Any:
        """The value a row holds. `row` is a record that begins with `all_columns`."""
        members = dict(zip(self._fields, row, strict=False))
        for name, enum in self._enums.items():
            members[name] = enum(members[name])
        if self._json:
            members[self._json] = msgspec.json.decode(row[self._json])
        elif self._rest:
            members |= self._convert(row["details"])
        return self.kind(**members)

    def _details(self, value: msgspec.Struct) -> str:
        defaults = self._defaults
        return _encode({n: v for n in self._rest if (v := getattr(value, n)) != defaults[n]}).decode()


def _made(factory: Any) -> Any:
    return factory() if callable(factory) else None


def _detail_decoder(kind: type[msgspec.Struct], names: tuple[str, ...]) -> Callable[[str], dict[str, Any]]:
    """Decodes details with the types of the fields, leaving out what is at its default."""
    hints = {field.name: field.type for field in msgspec.structs.fields(kind)}
    shape = msgspec.defstruct(
        f"{kind.__name__}Details",
        [(name, hints[name] | msgspec.UnsetType, msgspec.field(default=msgspec.UNSET)) for name in names],
    )
    decode = msgspec.json.Decoder(shape).decode

    def details(text: str) -> dict[str, Any]:
        if text == "{}":
            return {}
        found = decode(text)
        return {name: value for name in names if (value := getattr(found, name)) is not msgspec.UNSET}

    return details


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


PAYMENT: Final = Mapper(
    Payment,
    {
        **_same("id"),
        "merchant": "merchant_id",
        **_same("version", "dialect", "dialect_id", "rail", "account", "reference", "currency", "condition"),
        **_same("authorized", "captured", "fees", "held", "refunded", "external", "disputed", "clawed_back", "excess"),
        **_same("wallet_used", "fee_used", "amount_known", "open_cases", "excess_case", "rail_gap", "fence"),
        "order": "order_ref",
        **_same("captured_at", "created_at", "updated_at"),
    },
    {"condition": Condition},
)
REFUND: Final = Mapper(
    Refund,
    {
        **_same("id"),
        "merchant": "merchant_id",
        "payment": "payment_id",
        **_same("version", "dialect", "dialect_id", "rail", "currency", "payer", "wallet", "fee_return", "state"),
        **_same("generation", "provider_id", "evidence_version", "equality"),
        "group": "group_id",
        **_same("due_at", "look_at", "human_since", "doubt_since", "claimed_until", "lease_until"),
        **_same("created_at", "updated_at", "ended_at"),
    },
    {"state": State},
)
ORDER: Final = Mapper(Order, {"merchant": "merchant_id", **_same("id", "dialect", "reference", "version", "payments")})
ATTEMPT: Final = Mapper(
    Attempt,
    {
        "merchant": "merchant_id",
        "refund": "refund_id",
        **_same("generation", "kind", "mark", "amount", "outcome", "armed_at", "send_deadline", "lease_until"),
    },
    json="pre_read",
)
MOVEMENT: Final = Mapper(
    Movement,
    {
        "merchant": "merchant_id",
        "payment": "payment_id",
        "refund": "refund_id",
        **_same("kind", "debit", "credit", "amount", "currency", "at"),
    },
    {"kind": Kind},
)
EVENT: Final = Mapper(
    EventRow,
    {
        "merchant": "merchant_id",
        "type": "type",
        "object": "object_id",
        "sequence": "sequence",
        "payment": "payment_id",
        "at": "at",
    },
    json="data",
)
EVIDENCE: Final = Mapper(
    Evidence,
    {
        "merchant": "merchant_id",
        "id": "id",
        "payment": "payment_id",
        "refund": "refund_id",
        **_same("event", "grade", "source", "counted", "at", "occurred_at", "amount", "provider_id", "digest"),
        "generation": "generation",
    },
    {"grade": Grade},
    json="data",
)
EXTERNAL: Final = Mapper(
    External,
    {
        "merchant": "merchant_id",
        "payment": "payment_id",
        **_same("provider_id", "amount", "wallet", "fee_return", "undone", "at"),
    },
)
DISPUTE: Final = Mapper(
    Dispute,
    {"merchant": "merchant_id", "payment": "payment_id", **_same("reference", "amount", "status", "updated_at")},
    {"status": DisputeStatus},
)
CASE: Final = Mapper(
    Case,
    {
        "merchant": "merchant_id",
        "payment": "payment_id",
        "number": "number",
        "kind": "kind",
        "refund": "refund_id",
        **_same("opened_at", "closed_at", "closed_by", "note"),
    },
    json="figures",
)
ACCOUNT: Final = Mapper(Account, {"merchant": "merchant_id", **_same("name", "currency", "balance")})
KEY: Final = Mapper(
    KeyRow,
    {
        "merchant": "merchant_id",
        **_same("dialect", "key", "fingerprint"),
        "refund": "refund_id",
        **_same("status", "answer", "answer_due", "created_at"),
    },
)


def json_text(value: object) -> str:
    """A value as JSON text, for a jsonb parameter."""
    return _encode(value).decode()
