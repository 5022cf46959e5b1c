"""Amounts are read and written exactly or not at all, and divided without losing a minor unit."""

import pickle
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from moneyback.core.money import (
    MINOR_MAX,
    BadAmount,
    Currency,
    MixedCurrencies,
    Money,
    UnknownCurrency,
    currency,
    minor_from_decimal,
    minor_from_integer,
    proportion_floor,
    split,
    to_decimal,
    to_major,
)

JPY, EUR, USD, KWD, CLF = (currency(code) for code in ("JPY", "EUR", "USD", "KWD", "CLF"))

currencies = st.sampled_from([JPY, EUR, KWD, CLF])
minors = st.integers(-MINOR_MAX, MINOR_MAX)
weight_lists = st.lists(st.integers(0, 10**12), min_size=1, max_size=12).filter(any)


# --- currencies


@pytest.mark.parametrize(
    ("code", "exponent"),
    [
        *(("EUR", 2), ("USD", 2), ("MXN", 2), ("CHE", 2), ("USN", 2)),
        *(("JPY", 0), ("KRW", 0), ("ISK", 0)),
        *(("KWD", 3), ("BHD", 3)),
        *(("CLF", 4), ("UYW", 4)),
    ],
)
def test_currency_has_its_iso_exponent(code: str, exponent: int) -> None:
    assert currency(code) == Currency(code, exponent)
    assert currency(code) is currency(code)


@pytest.mark.parametrize("code", ["XAU", "XXX", "XTS", "XDR", "ABC", "eur", "EURO", "EU", "", " EUR", "978", "\u20ac"])
def test_what_is_not_money_is_unknown(code: str) -> None:
    with pytest.raises(UnknownCurrency) as refused:
        currency(code)
    assert refused.value.code == code
    assert "ISO 4217" in str(refused.value)


def test_an_unknown_currency_is_quoted_only_when_it_is_short() -> None:
    assert "'ABC' is not one" in str(UnknownCurrency("ABC"))
    assert "4111" not in str(UnknownCurrency("4111111111111111"))


# --- money


def test_money_adds_subtracts_and_orders_within_one_currency() -> None:
    assert Money(7, EUR) + Money(-9, EUR) == Money(-2, EUR)
    assert Money(7, EUR) - Money(9, EUR) == Money(-2, EUR)
    less, same, more = Money(7, EUR), Money(7, EUR), Money(9, EUR)
    assert (less < more, less <= more, less > more, less >= more) == (True, True, False, False)
    assert (less < same, less <= same, less > same, less >= same) == (False, True, False, True)


@pytest.mark.parametrize("operator", ["__add__", "__sub__", "__lt__", "__le__", "__gt__", "__ge__"])
def test_money_refuses_another_currency_and_bare_numbers(operator: str) -> None:
    with pytest.raises(MixedCurrencies, match="EUR and USD"):
        getattr(Money(1, EUR), operator)(Money(1, USD))
    with pytest.raises(TypeError):
        getattr(Money(1, EUR), operator)(1)


def test_equal_minor_units_of_two_currencies_are_different_money() -> None:
    assert Money(1, EUR) != Money(1, USD)
    assert len({Money(1, EUR), Money(1, USD), Money(1, EUR)}) == 2


def test_money_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Money(1, EUR).minor = 2  # type: ignore[misc]


@pytest.mark.parametrize("minor", [1.0, True, "1", Decimal(1), None])
def test_money_holds_only_integers(minor: Any) -> None:
    with pytest.raises(TypeError):
        Money(minor, EUR)
    with pytest.raises(TypeError):
        msgspec.structs.replace(Money(1, EUR), minor=minor)


def test_money_stays_within_63_bits() -> None:
    with pytest.raises(BadAmount) as refused:
        Money(MINOR_MAX, EUR) + Money(1, EUR)
    assert refused.value.why == "too_large"


# --- integers


@pytest.mark.parametrize("value", [0, 1, -1, 1000, MINOR_MAX, -MINOR_MAX])
def test_integers_are_minor_units(value: int) -> None:
    assert minor_from_integer(value) == value


@pytest.mark.parametrize("value", [MINOR_MAX + 1, -MINOR_MAX - 1, 10**400])
def test_integers_beyond_63_bits_are_too_large(value: int) -> None:
    with pytest.raises(BadAmount) as refused:
        minor_from_integer(value)
    assert refused.value.why == "too_large"


@pytest.mark.parametrize("value", [True, False, 1.0, "1", Decimal(1), None, [1]])
def test_only_integers_are_integers(value: Any) -> None:
    with pytest.raises(TypeError):
        minor_from_integer(value)


# --- decimals

READ: list[tuple[Any, Currency, int]] = [
    ("10", USD, 1000),
    ("10.0", USD, 1000),
    ("10.00", USD, 1000),
    ("10.000", USD, 1000),
    ("10." + "0" * 30, USD, 1000),
    ("0.05", USD, 5),
    ("-0.05", USD, -5),
    ("-12.3", USD, -1230),
    ("+5", USD, 500),
    ("0", USD, 0),
    ("-0.00", USD, 0),
    ("0010.50", USD, 1050),
    ("0" * 6000 + "1", USD, 100),
    ("1000", JPY, 1000),
    ("1000.0", JPY, 1000),
    ("1.234", KWD, 1234),
    ("1.2", KWD, 1200),
    ("1.2345", CLF, 12345),
    ("92233720368547758.07", USD, MINOR_MAX),
    ("-92233720368547758.07", USD, -MINOR_MAX),
    (str(MINOR_MAX), JPY, MINOR_MAX),
    (10, USD, 1000),
    (-10, KWD, -10000),
    (10, JPY, 10),
    (Decimal("10.00"), USD, 1000),
    (Decimal("10.000"), USD, 1000),
    (Decimal("1e2"), USD, 10000),
    (Decimal("-0.05"), USD, -5),
    (Decimal("-0"), USD, 0),
    (Decimal("0e30"), USD, 0),
    (Decimal("0e-30"), USD, 0),
    (Decimal("1000e-3"), JPY, 1),
]

REFUSED: list[tuple[Any, str]] = [
    ("", "empty"),
    (" ", "not_a_number"),
    (" 10", "not_a_number"),
    ("10 ", "not_a_number"),
    ("10\n", "not_a_number"),
    ("1 0", "not_a_number"),
    ("\uff11\uff10", "not_a_number"),  # full-width 10
    ("1\uff10", "not_a_number"),
    ("\u0661\u0660", "not_a_number"),  # Arabic-Indic 10
    ("\u00b2", "not_a_number"),  # a superscript is a digit to str.isdigit
    ("1_000", "not_a_number"),
    ("1,000.00", "not_a_number"),
    ("10,00", "not_a_number"),
    ("0x10", "not_a_number"),
    ("$10", "not_a_number"),
    ("-", "not_a_number"),
    ("+", "not_a_number"),
    (".", "not_a_number"),
    ("+-5", "not_a_number"),
    ("--5", "not_a_number"),
    ("5-", "not_a_number"),
    ("- 5", "not_a_number"),
    ("\u22125", "not_a_number"),  # a minus sign that is not the hyphen
    ("5.", "not_a_number"),
    (".5", "not_a_number"),
    ("1.2.3", "not_a_number"),
    ("10.-5", "not_a_number"),
    ("1\0", "not_a_number"),
    ("e2", "not_a_number"),
    ("1e", "not_a_number"),
    ("1e2", "exponent"),
    ("1E-2", "exponent"),
    ("1e400", "exponent"),
    ("10." + "0" * 31, "exponent"),
    ("NaN", "not_finite"),
    ("-nan", "not_finite"),
    ("sNaN", "not_finite"),
    ("Infinity", "not_finite"),
    ("-inf", "not_finite"),
    ("10.001", "too_precise"),
    ("0.0050", "too_precise"),
    ("92233720368547758.08", "too_large"),
    ("-92233720368547758.08", "too_large"),
    ("1" + "0" * 6000, "too_large"),
    (10**17, "too_large"),
    (10**400, "too_large"),
    (Decimal("10.001"), "too_precise"),
    (Decimal("0.1000000000000000055511151231257827021181583404541015625"), "exponent"),  # what 0.1 is as a float
    (Decimal("1e18"), "too_large"),
    (Decimal("1e30"), "too_large"),
    (Decimal("1e31"), "exponent"),
    (Decimal("1e400"), "exponent"),
    (Decimal("1e999999"), "exponent"),
    (Decimal("-1e999999"), "exponent"),
    (Decimal("0e31"), "exponent"),
    (Decimal("1e-30"), "too_precise"),
    (Decimal("1e-31"), "exponent"),
    (Decimal("1e-1000026"), "exponent"),  # subnormal
    (Decimal("1e-999999999999"), "exponent"),  # written out, these two would fill the memory
    (Decimal("1e999999999999"), "exponent"),
    (Decimal("NaN"), "not_finite"),
    (Decimal("sNaN"), "not_finite"),
    (Decimal("Infinity"), "not_finite"),
    (Decimal("-Infinity"), "not_finite"),
]


def why_refused(value: Any, currency: Currency = USD, **rules: Any) -> str:
    with pytest.raises(BadAmount) as refused:
        minor_from_decimal(value, currency, **rules)
    assert str(refused.value).startswith("The amount ")
    assert str(refused.value).endswith(".")
    return refused.value.why


@pytest.mark.parametrize(("value", "currency", "minor"), READ, ids=lambda value: repr(value)[:40])
def test_decimals_are_read_exactly(value: Any, currency: Currency, minor: int) -> None:
    assert minor_from_decimal(value, currency) == minor


@pytest.mark.parametrize(("value", "why"), REFUSED, ids=lambda value: ascii(value)[:40])
def test_odd_decimals_are_refused_with_their_reason(value: Any, why: str) -> None:
    assert why_refused(value) == why


@pytest.mark.parametrize(
    ("text", "why"), [("1000.5", "too_precise"), ("0.1", "too_precise"), (str(MINOR_MAX + 1), "too_large")]
)
def test_yen_have_no_decimals(text: str, why: str) -> None:
    assert why_refused(text, JPY) == why


@pytest.mark.parametrize("value", [True, False, 10.0, float("nan"), None, b"10", [10], 10j])
def test_other_types_are_the_callers_mistake(value: Any) -> None:
    with pytest.raises(TypeError):
        minor_from_decimal(value, USD)


@pytest.mark.parametrize(
    ("text", "minor"),
    [("1e2", 10000), ("1E+2", 10000), ("1.5e1", 1500), ("-105e-1", -1050), ("1e00000000002", 10000), ("10.00", 1000)],
)
def test_powers_of_ten_are_read_where_allowed(text: str, minor: int) -> None:
    assert minor_from_decimal(text, USD, allow_exponent=True) == minor


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1e30", "too_large"),
        ("1e31", "exponent"),
        ("1e400", "exponent"),
        ("1e" + "9" * 5000, "exponent"),
        ("1e-3", "too_precise"),
        ("1e-30", "too_precise"),
        ("1e-31", "exponent"),
        ("1e-" + "9" * 5000, "exponent"),
        ("1e2.0", "not_a_number"),
        ("1e\uff12", "not_a_number"),
        ("1e1_0", "not_a_number"),
        ("1e2\n", "not_a_number"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_powers_of_ten_are_bounded_where_allowed(text: str, why: str) -> None:
    assert why_refused(text, allow_exponent=True) == why


def test_white_space_is_stripped_only_on_request_and_only_in_ascii() -> None:
    assert minor_from_decimal(" \t10.50\r\n", USD, strip=True) == 1050
    assert minor_from_decimal(" 1e2 ", USD, strip=True, allow_exponent=True) == 10000
    assert why_refused("  ", strip=True) == "empty"
    assert why_refused("1 0", strip=True) == "not_a_number"
    assert why_refused("\u00a010", strip=True) == "not_a_number"
    assert why_refused("\v10", strip=True) == "not_a_number"


@pytest.mark.parametrize("value", ["10.000", "-10.000", Decimal("10.000"), Decimal("1e-3")])
def test_written_decimals_can_be_limited(value: Any) -> None:
    assert why_refused(value, KWD, max_decimals=2) == "too_precise"
    assert minor_from_decimal(value, KWD, max_decimals=3) == minor_from_decimal(value, KWD)


def test_the_limit_of_decimals_does_not_widen_the_currency() -> None:
    assert why_refused("10.001", USD, max_decimals=3) == "too_precise"
    assert why_refused("10.0", JPY, max_decimals=0) == "too_precise"
    assert minor_from_decimal("10", USD, max_decimals=0) == 1000


@pytest.mark.parametrize("value", ["4111111111111111.123", "4111111111111111222333", "4111 1111 1111 1111"])
def test_a_refusal_never_repeats_the_amount(value: str) -> None:
    """People paste card numbers into amount fields, and messages get logged."""
    with pytest.raises(BadAmount) as refused:
        minor_from_decimal(value, USD)
    assert "4111" not in str(refused.value) + repr(refused.value)


def test_refusals_survive_a_process_boundary() -> None:
    bad, unknown = pickle.loads(pickle.dumps((BadAmount("empty"), UnknownCurrency("ABC"))))
    assert (bad.why, unknown.code) == ("empty", "ABC")


@given(st.from_regex(r"[+-]?[0-9]{1,19}(\.[0-9]{1,6})?", fullmatch=True), currencies)
@example("-0.5", EUR)
def test_reading_agrees_with_fractions(text: str, currency: Currency) -> None:
    exact = Fraction(text) * 10**currency.exponent
    if exact.denominator != 1:
        assert why_refused(text, currency) == why_refused(Decimal(text), currency) == "too_precise"
    elif abs(exact) > MINOR_MAX:
        assert why_refused(text, currency) == why_refused(Decimal(text), currency) == "too_large"
    else:
        assert minor_from_decimal(text, currency) == minor_from_decimal(Decimal(text), currency) == exact


@given(st.text(alphabet="0123456789+-.eE_ \n\uff11naifNI", max_size=12), st.booleans(), st.booleans())
def test_any_text_is_read_as_its_value_or_refused(text: str, allow_exponent: bool, strip: bool) -> None:
    try:
        minor = minor_from_decimal(text, EUR, allow_exponent=allow_exponent, strip=strip)
    except BadAmount:
        return
    assert minor == Fraction(text) * 10**EUR.exponent


# --- printing


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (1000, USD, "10.00"),
        (1000, JPY, "1000"),
        (-1000, JPY, "-1000"),
        (1234, KWD, "1.234"),
        (12345, CLF, "1.2345"),
        (-5, USD, "-0.05"),
        (5, CLF, "0.0005"),
        (0, USD, "0.00"),
        (0, JPY, "0"),
        (MINOR_MAX, USD, "92233720368547758.07"),
    ],
)
def test_amounts_are_printed_with_all_their_places(minor: int, currency: Currency, text: str) -> None:
    assert to_major(minor, currency) == text
    assert str(to_decimal(minor, currency)) == text


@given(minors, currencies)
def test_what_is_printed_reads_back(minor: int, currency: Currency) -> None:
    assert minor_from_decimal(to_major(minor, currency), currency, max_decimals=currency.exponent) == minor
    assert minor_from_decimal(to_decimal(minor, currency), currency, max_decimals=currency.exponent) == minor


@given(minors, currencies)
def test_the_decimal_context_changes_nothing(minor: int, currency: Currency) -> None:
    with localcontext() as context:
        context.prec, context.Emax, context.Emin = 2, 3, -3
        printed = to_decimal(minor, currency)
        read = minor_from_decimal(printed, currency)
    assert (printed, read) == (Decimal(to_major(minor, currency)), minor)


# --- dividing


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (10, (1, 1, 1), (4, 3, 3)),
        (11, (1, 1, 1), (4, 4, 3)),
        (-11, (1, 1, 1), (-4, -4, -3)),
        (1, (0, 1, 1), (0, 1, 0)),
        (1, (1, 2), (0, 1)),
        (100, (1, 2, 4), (14, 29, 57)),
        (5, (0, 7, 0), (0, 5, 0)),
        (0, (1, 2), (0, 0)),
        (7, (3,), (7,)),
        (MINOR_MAX, (1, 1), (MINOR_MAX // 2 + 1, MINOR_MAX // 2)),
    ],
)
def test_split_gives_the_rest_to_the_largest_remainders_then_the_earliest(
    total: int, weights: tuple[int, ...], parts: tuple[int, ...]
) -> None:
    assert split(total, weights) == parts


@pytest.mark.parametrize("weights", [(), (0,), (0, 0), (1, -1), (3, -1), (-1,)])
def test_split_needs_a_positive_weight_and_no_negative_one(weights: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="weights"):
        split(10, weights)


@pytest.mark.parametrize(
    ("total", "weights"), [(1.0, (1,)), (1, (1.0,)), (3, (1, 0.5, 2)), (Decimal(1), (1,)), (1, (Decimal(1),))]
)
def test_split_refuses_inexact_numbers(total: Any, weights: Any) -> None:
    with pytest.raises(TypeError):
        split(total, weights)


@given(minors, weight_lists)
def test_split_is_exact_in_sum_and_within_one_of_each_share(total: int, weights: list[int]) -> None:
    parts = split(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1
        assert part == 0 or weight > 0


@given(minors, weight_lists)
def test_a_negative_total_splits_as_its_mirror_image(total: int, weights: list[int]) -> None:
    assert split(-total, weights) == tuple(-part for part in split(total, weights))


@pytest.mark.parametrize(
    ("amount", "part", "whole", "share"),
    [
        (10, 1, 3, 3),
        (9, 1, 3, 3),
        (0, 5, 7, 0),
        (7, 5, 7, 5),
        (7, 0, 7, 0),
        (-1, 1, 3, -1),
        (10**18, 10**18, 10**18, 10**18),
    ],
)
def test_proportion_floor(amount: int, part: int, whole: int, share: int) -> None:
    assert proportion_floor(amount, part, whole) == share


@pytest.mark.parametrize("whole", [0, -1])
def test_a_proportion_needs_a_positive_whole(whole: int) -> None:
    with pytest.raises(ValueError, match="positive whole"):
        proportion_floor(1, 1, whole)


@pytest.mark.parametrize("arguments", [(1.0, 1, 1), (1, 1.0, 1), (1, 1, 1.0), (Decimal(1), 1, 1)])
def test_a_proportion_refuses_inexact_numbers(arguments: Any) -> None:
    with pytest.raises(TypeError):
        proportion_floor(*arguments)


@given(st.integers(1, 10**15), st.integers(0, 10**15), st.data())
def test_proportional_fees_close_with_the_last_refund(wallet: int, fee: int, data: st.DataObject) -> None:
    """Refund in any pieces: neither side is ever overdrawn, and the last piece empties both."""
    assume(wallet + fee > 1)
    for _ in range(data.draw(st.integers(0, 5))):
        amount = data.draw(st.integers(0, wallet + fee - 1))
        returned = proportion_floor(amount, fee, wallet + fee)
        wallet, fee = wallet - (amount - returned), fee - returned
        assert wallet >= 0
        assert fee >= 0
    rest = wallet + fee
    returned = proportion_floor(rest, fee, rest)
    assert (wallet - (rest - returned), fee - returned) == (0, 0)
