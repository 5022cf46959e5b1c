"""Scenarios: the words that tell the sandbox bank how to go wrong, as frozen values. Only their grammar lives here.

A scenario is one word, or several joined with "+" (`pending:30+lost_answer:executed`). `<s>` counts business seconds,
decimals allowed, from execution; for `dispute` and `return` from capture.

    ok                                       nothing goes wrong
    decline:<code>                           refused, with a provider's code or one of our own classes
    pending:<s>[:ok|decline|late_failure]    accepted at once, decided after s
    slow:<s>                                 executed at once, answered after s
    lost_answer:executed|not_executed        executed or not; the answer to the first call of a key never arrives
    error_after_execution                    executed; the first call of a key is answered by an internal error
    late_failure:<s>                         succeeds, and the money comes back s later
    wrong_amount:<n>                         n minor units are paid instead
    requires_action                          the first call of a key is answered by a question
    dispute:<s>[:won|lost]                   the payer disputes the payment at s; decided after as long again
    return:<s>                               the payer's bank takes the captured money back at s
    list_lag:<s>                             the refund shows on lists and counters only after s

`pending:<s>:late_failure` succeeds at s and comes back after as long again, unless `late_failure` says another time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import combinations
from typing import Any, Final, Literal

import msgspec

SECONDS_MAX: Final = 10 * 366 * 86_400
"""The longest time a scenario may name: ten years, so that no date overflows."""
AMOUNT_MAX: Final = 2**63 - 1
CODE_LENGTH_MAX: Final = 120
CLASSES: Final = frozenset({"declined", "invalid", "unsupported", "disputed", "funds", "window", "policy", "not_sent"})
"""The engine's own classes of failure. Any other code is a provider's, of class declined."""

_NONE: Final = timedelta(0)
_SECONDS: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?", re.ASCII)
_MICROSECONDS: Final = 10**6


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """How one refund, or all refunds of a payment, go wrong. All defaults: nothing does."""

    decline: str | None = None  # the code
    pending: timedelta | None = None
    pending_ends: Literal["ok", "decline", "late_failure"] = "ok"
    slow: timedelta = _NONE
    lost_answer: Literal["executed", "not_executed"] | None = None
    error_after_execution: bool = False
    late_failure: timedelta | None = None  # after the success
    wrong_amount: int | None = None  # minor units
    requires_action: bool = False
    dispute: timedelta | None = None  # after the capture
    dispute_ends: Literal["open", "won", "lost"] = "open"
    returned: timedelta | None = None  # after the capture
    list_lag: timedelta = _NONE

    @property
    def declined(self) -> bool:
        """Whether the bank refuses the refund, at once or after a while."""
        return self.decline is not None or self.pending_ends == "decline"

    @property
    def code(self) -> str:
        """What a refusal is given as its code."""
        return self.decline or "declined"

    @property
    def comes_back_after(self) -> timedelta | None:
        """How long after its success the money comes back; None: it stays."""
        if self.late_failure is None and self.pending_ends == "late_failure":
            return self.pending
        return self.late_failure

    def __str__(self) -> str:
        return spelled(self)


OK: Final = Scenario()


@lru_cache(maxsize=4096)
def parse(text: str) -> Scenario:
    """The scenario that `text` spells. Raises ValueError with a sentence for whoever wrote it."""
    said: dict[str, str | None] = {}
    for word in text.split("+"):
        name, colon, argument = word.strip().partition(":")
        if name not in _WORDS:
            raise ValueError(f"The scenario {name[:40]!r} is not known; there are {', '.join(_WORDS)}.")
        if name in said:
            raise ValueError(f"The scenario says {name!r} twice.")
        said[name] = argument if colon else None
    _check_contradictions(said)
    fields: dict[str, Any] = {}
    for name, rest in said.items():
        fields |= _WORDS[name](name, rest)
    _check_declines(fields)
    return Scenario(**fields)


def spelled(scenario: Scenario) -> str:
    """The words of a scenario, in one fixed order: parse(spelled(x)) == x."""
    ends = "" if scenario.pending_ends == "ok" else f":{scenario.pending_ends}"
    decided = "" if scenario.dispute_ends == "open" else f":{scenario.dispute_ends}"
    words = (
        scenario.decline is not None and f"decline:{scenario.decline}",
        scenario.pending is not None and f"pending:{_written(scenario.pending)}{ends}",
        scenario.slow and f"slow:{_written(scenario.slow)}",
        scenario.lost_answer and f"lost_answer:{scenario.lost_answer}",
        scenario.error_after_execution and "error_after_execution",
        scenario.late_failure is not None and f"late_failure:{_written(scenario.late_failure)}",
        scenario.wrong_amount is not None and f"wrong_amount:{scenario.wrong_amount}",
        scenario.requires_action and "requires_action",
        scenario.dispute is not None and f"dispute:{_written(scenario.dispute)}{decided}",
        scenario.returned is not None and f"return:{_written(scenario.returned)}",
        scenario.list_lag and f"list_lag:{_written(scenario.list_lag)}",
    )
    return "+".join(word for word in words if word) or "ok"


def about_payment(scenario: Scenario) -> Scenario:
    """Only what happens to the payment itself: its dispute and its return."""
    return Scenario(dispute=scenario.dispute, dispute_ends=scenario.dispute_ends, returned=scenario.returned)


# --- one reader a word -----------------------------------------------------------------------------------------------


def _bare(name: str, rest: str | None) -> None:
    if rest is not None:
        raise ValueError(f"The scenario {name!r} stands alone; nothing follows it.")


def _ok(name: str, rest: str | None) -> dict[str, Any]:
    _bare(name, rest)
    return {}


def _flag(name: str, rest: str | None) -> dict[str, Any]:
    _bare(name, rest)
    return {name: True}


def _decline(_name: str, rest: str | None) -> dict[str, Any]:
    code = (rest or "").strip()
    if not code or len(code) > CODE_LENGTH_MAX or not code.isprintable():
        raise ValueError(f"The scenario 'decline' needs a code of 1 to {CODE_LENGTH_MAX} characters: decline:<code>.")
    return {"decline": code}


def _pending(name: str, rest: str | None) -> dict[str, Any]:
    seconds, ends = _split(rest)
    if ends not in (None, "ok", "decline", "late_failure"):
        raise ValueError("A pending refund ends as ok, decline or late_failure: pending:<s>[:ok|decline|late_failure].")
    return {"pending": _duration(name, seconds), "pending_ends": ends or "ok"}


def _dispute(name: str, rest: str | None) -> dict[str, Any]:
    seconds, ends = _split(rest)
    if ends not in (None, "won", "lost"):
        raise ValueError("A dispute stays open, is won or lost: dispute:<s>[:won|lost].")
    return {"dispute": _duration(name, seconds), "dispute_ends": ends or "open"}


def _lost_answer(_name: str, rest: str | None) -> dict[str, Any]:
    if rest not in ("executed", "not_executed"):
        raise ValueError("A lost answer says what was done: lost_answer:executed or lost_answer:not_executed.")
    return {"lost_answer": rest}


def _wrong_amount(_name: str, rest: str | None) -> dict[str, Any]:
    digits = rest or ""
    good = digits.isascii() and digits.isdigit() and len(digits) <= len(str(AMOUNT_MAX))
    if not good or not 0 < int(digits) <= AMOUNT_MAX:
        raise ValueError("The scenario 'wrong_amount' needs a positive number of minor units: wrong_amount:<n>.")
    return {"wrong_amount": int(digits)}


def _after(field: str) -> Callable[[str, str | None], dict[str, Any]]:
    return lambda name, rest: {field: _duration(name, rest)}


_WORDS: Final[Mapping[str, Callable[[str, str | None], dict[str, Any]]]] = {
    "ok": _ok,
    "decline": _decline,
    "pending": _pending,
    "slow": _after("slow"),
    "lost_answer": _lost_answer,
    "error_after_execution": _flag,
    "late_failure": _after("late_failure"),
    "wrong_amount": _wrong_amount,
    "requires_action": _flag,
    "dispute": _dispute,
    "return": _after("returned"),
    "list_lag": _after("list_lag"),
}

# What the first call of a key is answered is one thing; and what was refused neither pays nor comes back.
_CONTRADICTIONS: Final = (
    *combinations(("lost_answer", "error_after_execution", "requires_action"), 2),
    ("decline", "late_failure"),
    ("decline", "wrong_amount"),
)


def _check_contradictions(said: Mapping[str, object]) -> None:
    for one, other in _CONTRADICTIONS:
        if one in said and other in said:
            raise ValueError(f"The scenarios {one!r} and {other!r} contradict each other.")


def _check_declines(fields: Mapping[str, Any]) -> None:
    ends = fields.get("pending_ends")
    if "decline" in fields and ends in ("ok", "late_failure"):
        raise ValueError("A pending refund that is declined says so: decline:<code>+pending:<s>:decline.")
    if ends == "decline" and ("late_failure" in fields or "wrong_amount" in fields):
        raise ValueError("A pending refund that is declined neither pays another amount nor comes back.")


def _split(rest: str | None) -> tuple[str | None, str | None]:
    seconds, colon, ends = (rest or "").partition(":")
    return seconds, ends if colon else None


def _duration(name: str, text: str | None) -> timedelta:
    if not _SECONDS.fullmatch(text or "") or (seconds := Decimal(text or "0")) > SECONDS_MAX:
        raise ValueError(f"The scenario {name!r} needs seconds, at most {SECONDS_MAX}: {name}:<s>.")
    return timedelta(microseconds=int(seconds * _MICROSECONDS))


def _written(duration: timedelta) -> str:
    whole, rest = divmod(duration // timedelta(microseconds=1), _MICROSECONDS)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".") if rest else str(whole)
