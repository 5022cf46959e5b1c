"""What Mangopay's answers mean to the engine: the table of all documented ones, statuses, and classes of failures."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from moneyback.core.refund import Event
from moneyback.dialect import Reply
from moneyback.dialects.mangopay import received

STATUSES: Final[Mapping[str, Event]] = MappingProxyType(
    {"CREATED": Event.ACCEPTED, "SUCCEEDED": Event.EXECUTED, "FAILED": Event.REFUSED}
)
"""What the Status of a refund, or of a payout, means (provider docs: the refund object, the payout object)."""

ANSWERS: Final[Mapping[tuple[int, str | None], Event]] = MappingProxyType(
    {
        # 200 says that there is a refund; its Status says what became of it.
        **{(200, status): event for status, event in STATUSES.items()},
        (400, "param_error"): Event.REFUSED,
        (400, "original_transaction_must_be_succeeded"): Event.REFUSED,
        (400, None): Event.REFUSED,  # whatever Type: a logic or parameter error, and nothing was created
        (401, "invalid_credentials"): Event.NOT_TAKEN,
        (403, "forbidden_ressource"): Event.NOT_TAKEN,
        (404, "ressource_not_found"): Event.REFUSED,
        # Something was created under our key, perhaps by an attempt whose answer was lost: the key will tell.
        (409, "idempotent_creation_conflict"): Event.LOST,
        (429, "rate_limit"): Event.NOT_TAKEN,
        (500, None): Event.LOST,
    }
)
"""Every documented answer to a refund by HTTP status and Status or Type, None for any Type (provider docs: create a
pay-in refund, idempotency, error report). An error counts in Mangopay's own form only. All that is not here is LOST."""

FAILURES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "001001": "funds",
        "001003": "funds",
        "001014": "invalid",
        "001401": "invalid",
        "001403": "window",
        "001404": "unsupported",
        "001405": "window",
        "001999": "declined",
        "005403": "invalid",
        "005404": "invalid",
        "005405": "funds",
        "005406": "declined",
        "005407": "declined",
        "005408": "disputed",
    }
)
"""The class of a failure by its ResultCode (provider docs: error codes)."""


def meaning(reply: Reply) -> Event:
    """What an answer to a refund means; LOST for all that is not documented."""
    shown = received.refund(reply)
    if shown is not None:
        return ANSWERS.get((reply.status, shown.status), Event.LOST)
    problem = received.problem(reply)
    if problem is None:
        return Event.LOST
    by_type = ANSWERS.get((reply.status, problem.type))
    return by_type or ANSWERS.get((reply.status, None), Event.LOST)


def is_absent(reply: Reply) -> bool:
    """Whether Mangopay says that it has no such object."""
    problem = received.problem(reply)
    return problem is not None and (reply.status, problem.type) == (404, "ressource_not_found")


def is_withheld(reply: Reply) -> bool:
    """Whether Mangopay has it and does not show it to this client: a user must have authenticated, or a right is
    missing (provider docs: SCA, permissions)."""
    return reply.status in (401, 403) and received.problem(reply) is not None
