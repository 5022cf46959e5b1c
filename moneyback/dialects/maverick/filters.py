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
from moneyback.dialects.maverick.bodies import Wrong, whole
from moneyback.dialects.maverick.wire import CURRENCY, Status, invalid, stamp

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
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


# --- narrowing -------------------------------------------------------------------------------------------------------


class Narrowed(msgspec.Struct, kw_only=True):
    """What a filter says about where to look; `rest` is what must be asked of each record found there."""

    types: frozenset[str] | None = None
    parent: int | None = None
    ids: tuple[int, ...] | None = None
    external: str | None = None
    since: datetime | None = None
    until: datetime | None = None
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
        case "createdOn", "eq" | "gt" | "gte" | "lt" | "lte" if value is not None:
            _bound(found, leaf.op, datetime.fromisoformat(value).replace(tzinfo=UTC))
            return True
    return False


def _bound(found: Narrowed, op: str, moment: datetime) -> None:
    """Printed times are whole seconds, so what is printed as a moment happened within the second that follows it."""
    since = {"eq": moment, "gte": moment, "gt": moment + _SECOND}.get(op)
    until = {"eq": moment + _SECOND - _INSTANT, "lte": moment + _SECOND - _INSTANT, "lt": moment - _INSTANT}.get(op)
    if since is not None:
        found.since = max(since, found.since or since)
    if until is not None:
        found.until = min(until, found.until or until)
