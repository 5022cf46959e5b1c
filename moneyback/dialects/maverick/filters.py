"""The filter language of lists: `filter[field][op]=value`, and what of a filter a list can be narrowed by beforehand.

Fields at one level must all hold; `and`, `or` and `not` combine them, `NULL` stands for nothing, a bare
`filter[field]=value` means equal (provider docs: filters, list payments page).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec

from moneyback.core.money import BadAmount, currency, minor_from_decimal
from moneyback.core.refund import State
from moneyback.dialects.maverick.bodies import Wrong, whole
from moneyback.dialects.maverick.objects import LAST_FOUR_UNSTATED, ORIGIN_UNSTATED, SHOWN_THERE
from moneyback.dialects.maverick.wire import CURRENCY, SHOWN, TERMINAL, Status, invalid, stamp

Kind = Literal["integer", "amount", "moment", "text"]

COLUMNS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "id": "integer",
        "externalId": "text",
        "terminal.id": "integer",
        "parent.id": "integer",
        "type": "text",
        "card.name": "text",
        "card.number": "integer",
        "amount": "amount",
        "origin": "text",
        "source": "text",
        "level": "integer",
        "status.status": "text",
        "batch.id": "integer",
        "updatedOn": "moment",
        "createdOn": "moment",
    }
)
"""What can be filtered by (provider docs: list payments page, refund page)."""

ORPHANS: Final = frozenset({"Auth", "CardAuthentication", "GenerateToken"})
"""Types of records that have no parent."""
_SINGLE: Final = ("eq", "neq", "lt", "gt", "lte", "gte", "like")
_MANY: Final = ("in", "nin")
_NAME: Final = re.compile(r"filter((?:\[[^\[\]]*\])+)")
_SECOND: Final = timedelta(seconds=1)
_INSTANT: Final = timedelta(microseconds=1)
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""Between these two lies all that happens. What is asked for beyond is asked for there."""
_DEPTH_MAX: Final = 8


class Leaf(msgspec.Struct, frozen=True):
    """One comparison. None among the values is a member that is empty."""

    column: str
    op: str
    values: tuple[Any, ...]

    def allows(self, columns: Mapping[str, Any]) -> bool:
        """Whether a record with these columns is let through. Nothing is smaller or larger than an empty member."""
        held, first = columns[self.column], self.values[0] if self.values else None
        match self.op:
            case "in" | "eq":
                return held in self.values
            case "nin" | "neq":
                return held not in self.values
            case _ if held is None or first is None:
                return False
            case "like":
                return str(first).lower() in str(held).lower()
            case "lt":
                return bool(held < first)
            case "gt":
                return bool(held > first)
            case "lte":
                return bool(held <= first)
            case _:
                return bool(held >= first)

    def columns(self) -> Iterator[str]:
        """What it looks at."""
        yield self.column


class Group(msgspec.Struct, frozen=True):
    """Several filters of which all, or any, must hold, or not all."""

    how: Literal["and", "or", "not"]
    parts: tuple[Leaf | Group, ...]

    def allows(self, columns: Mapping[str, Any]) -> bool:
        """Whether a record with these columns is let through."""
        each = (part.allows(columns) for part in self.parts)
        match self.how:
            case "and":
                return all(each)
            case "or":
                return any(each)
            case _:
                return not all(each)

    def columns(self) -> Iterator[str]:
        """What its parts look at."""
        for part in self.parts:
            yield from part.columns()


# --- reading ---------------------------------------------------------------------------------------------------------


def read_filter(query: tuple[tuple[str, str], ...], *, lenient: bool = False) -> Group:
    """The filter of a query string. Raises Wrong for what it does not know, which `lenient` passes over."""
    tree: dict[str, Any] = {}
    for name, value in query:
        if name.partition("[")[0] != "filter":
            continue
        found = _NAME.fullmatch(name)
        if found is not None and _put(tree, found[1][1:-1].split("]["), value):
            continue
        if not lenient:
            raise Wrong(invalid("Filter is invalid."))
    return Group("and", tuple(_parts(tree, lenient)))


def _put(tree: dict[str, Any], steps: list[str], value: str) -> bool:
    """Where a value belongs; False when something else is there, or it is too deep. `[]` counts up."""
    if len(steps) > _DEPTH_MAX:
        return False
    *way, last = steps
    for step in way:
        inner = tree.setdefault(step or str(len(tree)), {})
        if not isinstance(inner, dict):
            return False
        tree = inner
    name = last or str(len(tree))
    if isinstance(tree.get(name), dict):
        return False
    tree[name] = value
    return True


def _parts(tree: Mapping[str, Any], lenient: bool) -> Iterator[Leaf | Group]:
    for name, value in tree.items():
        try:
            if name in ("and", "or"):
                yield Group("or" if name == "or" else "and", tuple(_alternatives(name, value, lenient)))
            elif name == "not":
                yield Group("not", tuple(_parts(_tree(value), lenient)))
            elif name in COLUMNS:
                yield from _leaves(name, value)
            else:
                raise Wrong(invalid("Unknown filter attribute."))
        except Wrong:
            if not lenient:
                raise


def _alternatives(name: str, value: Any, lenient: bool) -> Iterator[Leaf | Group]:
    """`[0]`, `[1]` and so on are groups of their own; without numbers each field is one."""
    for key, inner in _tree(value).items():
        if key.isdigit():
            yield Group("and", tuple(_parts(_tree(inner), lenient)))
        else:
            yield from _parts({key: inner}, lenient)


def _tree(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Wrong(invalid("Filter is invalid."))
    return value


def _leaves(column: str, value: Any) -> Iterator[Leaf]:
    if isinstance(value, str):
        yield Leaf(column, "eq", (_typed(column, value),))
        return
    for op, operand in value.items():
        if op in _MANY:
            many = list(operand.values()) if isinstance(operand, dict) else [operand]
            if not all(isinstance(each, str) for each in many):
                raise Wrong(invalid(f"Filter operator {op} requires a list of values."))
            yield Leaf(column, op, tuple(_typed(column, each) for each in many))
        elif op in _SINGLE and isinstance(operand, str):
            yield Leaf(column, op, (operand if op == "like" else _typed(column, operand),))
        else:
            raise Wrong(invalid(f"Filter condition for {column} is invalid."))


def _typed(column: str, text: str) -> Any:
    if text == "NULL":
        return None
    match COLUMNS[column]:
        case "integer":
            number = whole(text)
            if number is None:
                raise Wrong(invalid(f"Filter value for {column} must be an integer."))
            return number
        case "amount":
            return _amount(text)
        case "moment":
            return stamp(_moment(column, text))
        case _:
            return Status.DECLINED.value if (column, text) == ("status.status", "Decline") else text


def _amount(text: str) -> Decimal:
    try:
        minor_from_decimal(text, currency(CURRENCY))
    except BadAmount:
        raise Wrong(invalid("Filter value for amount must be a number.")) from None
    return Decimal(text)


def _moment(column: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Wrong(invalid(f"Filter value for {column} must be a date, or a date and a time.")) from None
    return min(max(found.replace(tzinfo=UTC) if found.tzinfo is None else found, _FIRST), _LAST)


# --- narrowing -------------------------------------------------------------------------------------------------------


class Narrowed(msgspec.Struct, kw_only=True):
    """What a filter says about where to look; `rest` is what must be asked of each record found there."""

    types: frozenset[str] | None = None
    parent: int | None = None
    ids: tuple[int, ...] | None = None
    external: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    least: int | None = None  # of amounts in dollars, in cents
    most: int | None = None
    states: frozenset[State] | None = None  # of refunds
    changed_since: datetime | None = None  # the same
    changed_until: datetime | None = None
    documents: tuple[Mapping[str, Any], ...] = ()  # one of them is in the document of the payment
    rest: Group = Group("and", ())

    def has(self, kind: str) -> bool:
        """Whether records of this type can be among them."""
        return self.types is None or kind in self.types


def narrowed(wanted: Group) -> Narrowed:
    """What the comparisons that must all hold say about types, parents, ids and times."""
    found, rest = Narrowed(), list[Leaf | Group]()
    for part in _conjuncts(wanted):
        if isinstance(part, Group) or not _narrow(found, part):
            rest.append(part)
    found.rest = Group("and", tuple(rest))
    return found


def _conjuncts(group: Group) -> Iterator[Leaf | Group]:
    for part in group.parts:
        if isinstance(part, Group) and part.how == "and":
            yield from _conjuncts(part)
        else:
            yield part


def _narrow(found: Narrowed, leaf: Leaf) -> bool:
    """Whether nothing is left to be asked of the records that are found so."""
    value = leaf.values[0] if leaf.values else None
    match leaf.column, leaf.op:
        case "type", "eq" | "in":
            found.types = frozenset(leaf.values) & (found.types if found.types is not None else frozenset(leaf.values))
            return True
        case "parent.id", "eq" if value is None:
            found.types = ORPHANS & (found.types if found.types is not None else ORPHANS)
            return True
        case "parent.id", "eq" if found.parent is None:
            found.parent = value
            return True
        case "id", "eq" | "in" if found.ids is None:
            found.ids = tuple(dict.fromkeys(each for each in leaf.values if each is not None))
        case "externalId", "eq" if value is not None:
            found.external = value
            _of_originals(found, {"externalId": value})
        case "createdOn", "eq" | "gt" | "gte" | "lt" | "lte" if value is not None:
            since, until = _bounds(leaf.op, value)
            found.since, found.until = _later(found.since, since), _earlier(found.until, until)
            return True
        case _:
            _narrow_further(found, leaf)
    return False


def _narrow_further(found: Narrowed, leaf: Leaf) -> None:
    """What else can be asked for beforehand; it is asked of each record as well."""
    values = frozenset(leaf.values)
    if None in values or not values:
        return
    value: Any = leaf.values[0]
    match leaf.column, leaf.op:
        case "amount", "eq" | "gt" | "gte" | "lt" | "lte":
            if leaf.op in ("eq", "gt", "gte"):
                found.least = _later(found.least, _cents(value))
            if leaf.op in ("eq", "lt", "lte"):
                found.most = _earlier(found.most, _cents(value))
        case "updatedOn", "eq" | "gt" | "gte" | "lt" | "lte":
            since, until = _bounds(leaf.op, value)
            found.changed_since = _later(found.changed_since, since)
            found.changed_until = _earlier(found.changed_until, until)
        case "status.status", "eq" | "in":
            states = frozenset(state for state, shown in SHOWN.items() if shown.value in values)
            found.states = states & (found.states if found.states is not None else states)
        case "card.number", "eq" | "in" if LAST_FOUR_UNSTATED not in values:
            found.documents = found.documents or _either_way([{"card": {"number": each}} for each in leaf.values])
        case "terminal.id", "eq" | "in" if TERMINAL not in values:
            own = [{"terminal_id": form} for each in leaf.values for form in (each, str(each))]
            shown = [{SHOWN_THERE: {"terminal": {"id": each}}} for each in leaf.values]
            found.documents = found.documents or (*own, *shown)
        case "card.name", "eq":
            _of_originals(found, {"card": {"name": value}})
        case "source", "eq":
            _of_originals(found, {"source": value})
        case "origin", "eq" if value != ORIGIN_UNSTATED:
            _of_originals(found, {"origin": value})


def _of_originals(found: Narrowed, document: Mapping[str, Any]) -> None:
    """What a child of an original never has."""
    found.types = ORPHANS & (found.types if found.types is not None else ORPHANS)
    found.documents = found.documents or _either_way([document])


def _either_way(documents: list[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """As it was said of a payment, or as its provider shows it."""
    return (*documents, *({SHOWN_THERE: each} for each in documents))


def _cents(amount: Decimal) -> int:
    return minor_from_decimal(format(amount, "f"), currency(CURRENCY))


def _bounds(op: str, text: str) -> tuple[datetime | None, datetime | None]:
    """Printed times are whole seconds, so what is printed as a moment happened within the second that follows it."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    since = {"eq": moment, "gte": moment, "gt": moment + _SECOND}.get(op)
    until = {"eq": moment + _SECOND - _INSTANT, "lte": moment + _SECOND - _INSTANT, "lt": moment - _INSTANT}.get(op)
    return since, until


def _later(one: Any, other: Any) -> Any:
    """The narrower of two lower bounds."""
    return max(one, other) if one is not None and other is not None else one if other is None else other


def _earlier(one: Any, other: Any) -> Any:
    """The narrower of two upper bounds."""
    return min(one, other) if one is not None and other is not None else one if other is None else other
