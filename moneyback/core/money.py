"""Money: integers of minor units, the currencies they count, and the exact ways between them and decimal text.

Here live currencies, amounts, their parsers and printers, and the arithmetic that divides an amount without
losing a unit. What an amount is *for* (captured, refunded, held) lives elsewhere. No float ever enters: it is
a TypeError, because it lost its exactness before it arrived. Scaling always uses the currency's own exponent:
0 for JPY, 2 for EUR, 3 for KWD, 4 for CLF.

No message repeats the amount it refuses: people paste card numbers into amount fields, and messages get logged.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from operator import index
from types import MappingProxyType
from typing import Final, Literal

import iso4217
import msgspec

MINOR_MAX: Final = 2**63 - 1  # either way: what a signed 64-bit column holds and can still negate
DECIMAL_EXPONENT_MAX: Final = 30  # "1e999999999" is eleven characters that ask for gigabytes of zeros
_DIGITS_MAX: Final = len(str(MINOR_MAX))

_FIXED: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_SCIENTIFIC: Final = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?)[eE]([+-]?)0*([0-9]+)")
_NOT_FINITE: Final = re.compile(r"[+-]?(?:s?nan|inf(?:inity)?)", re.ASCII | re.IGNORECASE)
_BLANKS: Final = " \t\r\n"

Why = Literal["empty", "not_a_number", "not_finite", "exponent", "too_precise", "too_large"]

_SENTENCES: Final[Mapping[Why, str]] = MappingProxyType(
    {
        "empty": "The amount is empty.",
        "not_a_number": "The amount is not a plain decimal number, such as 10 or 10.50.",
        "not_finite": "The amount is not a finite number.",
        "exponent": "The amount has a power of ten, or a row of decimals, that is not accepted here.",
        "too_precise": "The amount has more decimal places than are accepted here.",
        "too_large": "The amount is larger than 63 bits of minor units.",
    }
)


class BadAmount(ValueError):
    """An amount that cannot be read exactly; `why` is the machine word, the message a sentence for its sender."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why: Why = why

    def __str__(self) -> str:
        return _SENTENCES[self.why]


class UnknownCurrency(ValueError):
    """A code that ISO 4217 does not list as money today."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code

    def __str__(self) -> str:
        quoted = f"; {self.code!r} is not one" if len(self.code) == 3 else ""
        return f"A currency is three capital letters that ISO 4217 lists as money, such as EUR{quoted}."


class MixedCurrencies(ValueError):
    """Two amounts in different currencies met in one sum or comparison; nothing is ever converted."""


class Currency(msgspec.Struct, frozen=True):
    """A currency and how many decimal places its minor unit is. Take it from `currency`."""

    code: str
    exponent: int


# Gold, drawing rights, test codes and "no currency" have no minor unit: they are listed, but are not money.
_CURRENCIES: Final[Mapping[str, Currency]] = MappingProxyType(
    {entry.code: Currency(entry.code, entry.exponent) for entry in iso4217.Currency if entry.exponent is not None}
)


def currency(code: str) -> Currency:
    """The currency of an ISO 4217 code, funds codes included. Only capitals; raises UnknownCurrency."""
    try:
        return _CURRENCIES[code]
    except KeyError:
        raise UnknownCurrency(code) from None


class Money(msgspec.Struct, frozen=True):
    """Minor units of one currency, at most 63 bits (beyond: BadAmount).

    Amounts in two currencies are unequal; adding, subtracting or ordering them raises MixedCurrencies.
    """

    minor: int
    currency: Currency

    def __post_init__(self) -> None:
        minor_from_integer(self.minor)

    def __add__(self, other: "Money") -> "Money":
        return Money(self.minor + self._minor_of(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.minor - self._minor_of(other), self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.minor < self._minor_of(other)

    def __le__(self, other: "Money") -> bool:
        return self.minor <= self._minor_of(other)

    def __gt__(self, other: "Money") -> bool:
        return self.minor > self._minor_of(other)

    def __ge__(self, other: "Money") -> bool:
        return self.minor >= self._minor_of(other)

    def _minor_of(self, other: "Money") -> int:
        if not isinstance(other, Money):
            raise TypeError("money meets only money, never a bare number")
        if other.currency != self.currency:
            raise MixedCurrencies(f"{self.currency.code} and {other.currency.code} cannot be added or compared.")
        return other.minor


def minor_from_integer(value: int) -> int:
    """An integer of minor units, of either sign, at most 63 bits. Anything but an int, bool included: TypeError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"minor units are an int, not {type(value).__name__}")
    if not -MINOR_MAX <= value <= MINOR_MAX:
        raise BadAmount("too_large")
    return value


def minor_from_decimal(
    value: Decimal | str | int,
    currency: Currency,
    *,
    allow_exponent: bool = False,
    strip: bool = False,
    max_decimals: int | None = None,
) -> int:
    """Minor units from an exact amount in major units, of either sign; raises BadAmount, or TypeError for other types.

    Text is `[+-]digits[.digits]` in ASCII, with a power of ten if `allow_exponent`, with spaces, tabs and line ends
    around it if `strip`. Zeros beyond the currency's exponent change nothing and are accepted, unless more than
    `max_decimals` digits are written after the point. A Decimal is a number without a notation: `allow_exponent`
    does not concern it.
    """
    if isinstance(value, str):
        text = value.strip(_BLANKS) if strip else value
        if _FIXED.fullmatch(text) is None:
            text = _fixed_from_unusual(text, allow_exponent)
    elif isinstance(value, Decimal):
        text = _fixed_from_decimal(value)
    else:
        text = str(minor_from_integer(value))
    return _minor_from_fixed(text, currency.exponent, max_decimals)


def _minor_from_fixed(text: str, exponent: int, max_decimals: int | None) -> int:
    whole, _, fraction = text.partition(".")
    if len(fraction) > DECIMAL_EXPONENT_MAX:
        raise BadAmount("exponent")
    if max_decimals is not None and len(fraction) > max_decimals:
        raise BadAmount("too_precise")
    if len(fraction) > exponent and fraction[exponent:].strip("0"):
        raise BadAmount("too_precise")
    digits = (whole + fraction[:exponent].ljust(exponent, "0")).lstrip("+-0")
    if len(digits) > _DIGITS_MAX:  # before int(), which refuses very long text with an error of its own
        raise BadAmount("too_large")
    return minor_from_integer(int(digits or "0") * (-1 if whole[0] == "-" else 1))


def _fixed_from_unusual(text: str, allow_exponent: bool) -> str:
    if not text:
        raise BadAmount("empty")
    if _NOT_FINITE.fullmatch(text):
        raise BadAmount("not_finite")
    match = _SCIENTIFIC.fullmatch(text)
    if match is None:
        raise BadAmount("not_a_number")
    mantissa, sign, power = match.groups()
    if not allow_exponent or len(power) > len(str(DECIMAL_EXPONENT_MAX)):
        raise BadAmount("exponent")
    return _fixed_from_decimal(Decimal(f"{mantissa}e{sign}{power}"))


def _fixed_from_decimal(value: Decimal) -> str:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise BadAmount("not_finite")
    if abs(exponent) > DECIMAL_EXPONENT_MAX:
        raise BadAmount("exponent")
    return format(value, "f")  # exact: unlike arithmetic, formatting does not round to the context's precision


def to_major(minor: int, currency: Currency) -> str:
    """Fixed decimal text in major units: "10.00" EUR, "1000" JPY, "1.234" KWD, "-0.05" EUR."""
    if currency.exponent == 0:
        return str(minor)
    digits = str(abs(minor)).rjust(currency.exponent + 1, "0")
    return f"{'-' if minor < 0 else ''}{digits[: -currency.exponent]}.{digits[-currency.exponent :]}"


def to_decimal(minor: int, currency: Currency) -> Decimal:
    """The same amount in major units as an exact Decimal, with all the currency's places."""
    return Decimal(to_major(minor, currency))


def split(total_minor: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Parts of a total in proportion to weights, by largest remainder: exact in sum, earlier parts win ties.

    A negative total splits as its mirror image; a zero weight gets 0. Raises ValueError for a negative weight,
    and when no weight is positive; TypeError for what is not an int.
    """
    whole = sum(weights)
    if whole <= 0 or min(weights) < 0:
        raise ValueError("weights are 0 or more, and at least one is positive")
    shares = [divmod(abs(total_minor) * weight, whole) for weight in weights]
    parts = [part for part, _ in shares]
    left = abs(total_minor) - sum(parts)  # one float anywhere makes this a float, which the slice below refuses
    for position in sorted(range(len(shares)), key=lambda at: -shares[at][1])[:left]:
        parts[position] += 1
    return tuple(-part if total_minor < 0 else part for part in parts)


def proportion_floor(amount: int, part: int, whole: int) -> int:
    """⌊amount · part / whole⌋, floats refused: how much of an amount its part of the whole is.

    It is `part` itself when the amount is the whole, so the last of several refunds closes both at once.
    Raises ValueError unless whole is positive.
    """
    if whole <= 0:
        raise ValueError("a proportion needs a positive whole")
    return index(amount) * index(part) // index(whole)
