"""CHIP Collect as we serve it: the table of its routes, who calls, and what is said before or instead of a handler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

from moneyback.dialect import Caller, Conversation, Fault, Incoming, Outgoing, Presented, Route
from moneyback.dialects.chip import (
    account,
    checkout,
    clients,
    methods,
    purchases,
    refunds,
    schemas,
    statements,
    webhooks,
)
from moneyback.dialects.chip.fields import refused
from moneyback.dialects.chip.wire import ALL, Complaint

# --- before and instead of a handler ---------------------------------------------------------------------------------

_FAULTS: Final[Mapping[Fault, tuple[int, str, str]]] = MappingProxyType(
    {
        Fault.UNAUTHENTICATED: (401, "authentication_failed", "Incorrect secret_key"),
        Fault.FORBIDDEN: (403, "permission_denied", "You do not have permission to perform this action."),
        Fault.NOT_FOUND: (404, "not_found", "Not found."),
        Fault.METHOD_NOT_ALLOWED: (405, "method_not_allowed", "Method not allowed."),
        Fault.BAD_BODY: (400, "parse_error", "The request body could not be parsed."),
        Fault.TOO_LARGE: (413, "request_too_large", "The request body is too large."),
        Fault.UNAVAILABLE: (503, "service_unavailable", "Nothing was done. Please try again later."),
        Fault.INTERNAL: (500, "error", "An internal error occurred."),
    }
)


def fault(kind: Fault, incoming: Incoming | None) -> Outgoing:
    """What a mount meets before or instead of a handler, in CHIP's error form."""
    code, word, message = _FAULTS[kind]
    headers: dict[str, str] = {}
    match kind:
        case Fault.UNAUTHENTICATED:
            headers["WWW-Authenticate"] = "Bearer"
            if incoming is not None and presented(incoming) is None:
                word, message = "not_authenticated", "Authentication credentials were not provided."
        case Fault.METHOD_NOT_ALLOWED if incoming is not None:
            message = f'Method "{incoming.method}" not allowed.'
        case Fault.UNAVAILABLE:
            headers["Retry-After"] = "1"
        case _:
            pass
    answer = refused(Complaint(ALL, word, message), code)
    return Outgoing(status=code, body=answer.body, headers=headers)


def presented(incoming: Incoming) -> Presented | None:
    """The secret key of `Authorization: Bearer <key>`, whatever the capitals of its scheme and the spaces around it."""
    scheme, _, key = incoming.headers.get("authorization", "").strip().partition(" ")
    return Presented(key.strip()) if scheme.lower() == "bearer" and key.strip() else None


# --- routes ----------------------------------------------------------------------------------------------------------

_ENCODINGS: Final = ("json", "form", "multipart")
_API: Final = "/api/v1"
_PAGE: Final = "/p/{shop}/{id}"


def _route(
    method: str,
    path: str,
    handle: Callable[[Incoming, Caller], Conversation],
    kind: Literal["guarded", "owned", "relayed"],
    summary: str,
    answer: schemas.Schema,
    request: schemas.Schema | None = None,
) -> Route:
    return Route(
        method=method,
        path=_API + path,
        handle=handle,
        kind=kind,
        accepts=_ENCODINGS,
        summary=summary,
        request_schema=request or {},
        response_schema=answer,
    )


def _page(
    method: str, path: str, handle: Callable[[Incoming, Caller], Conversation], summary: str, **members: Any
) -> Route:
    """A page for whoever was given its address, which is all there is to know."""
    return Route(
        method=method,
        path=path,
        handle=handle,
        accepts=_ENCODINGS,
        summary=summary,
        response_schema=schemas.PAGE,
        public=True,
        **members,
    )


_PURCHASES: Final = (
    _route(
        "POST",
        "/purchases/{id}/refund/",
        refunds.refund_purchase,
        "guarded",
        "Refund a paid purchase",
        schemas.REFUND_ANSWER,
        schemas.REFUND_REQUEST,
    ),
    _route("GET", "/purchases/{id}/", purchases.read_purchase, "owned", "Retrieve a purchase", schemas.PURCHASE_ANSWER),
    _route(
        "POST",
        "/purchases/",
        purchases.create_purchase,
        "relayed",
        "Create a purchase",
        schemas.PURCHASE_ANSWER,
        schemas.PURCHASE_REQUEST,
    ),
    _route(
        "POST",
        "/purchases/{id}/cancel/",
        purchases.cancel_purchase,
        "guarded",
        "Cancel a pending purchase",
        schemas.PURCHASE_ANSWER,
    ),
    _route(
        "POST",
        "/purchases/{id}/capture/",
        purchases.capture_purchase,
        "relayed",
        "Capture a previously authorized payment",
        schemas.PURCHASE_ANSWER,
        schemas.CAPTURE_REQUEST,
    ),
    _route(
        "POST",
        "/purchases/{id}/release/",
        purchases.release_purchase,
        "guarded",
        "Release funds on hold",
        schemas.PURCHASE_ANSWER,
    ),
    _route(
        "POST",
        "/purchases/{id}/charge/",
        purchases.charge_purchase,
        "relayed",
        "Charge a purchase using a saved token",
        schemas.PURCHASE_ANSWER,
        schemas.CHARGE_REQUEST,
    ),
    _route(
        "POST",
        "/purchases/{id}/mark_as_paid/",
        purchases.mark_as_paid,
        "relayed",
        "Mark a purchase as paid",
        schemas.PURCHASE_ANSWER,
        schemas.MARK_REQUEST,
    ),
    _route(
        "POST",
        "/purchases/{id}/resend_invoice/",
        purchases.resend_invoice,
        "relayed",
        "Resend an invoice",
        schemas.PURCHASE_ANSWER,
    ),
    _route(
        "POST",
        "/purchases/{id}/delete_recurring_token/",
        purchases.delete_recurring_token,
        "relayed",
        "Delete a recurring token associated with a purchase",
        schemas.PURCHASE_ANSWER,
    ),
)
_CLIENT: Final = "/clients/{id}/"
_CARD: Final = "/clients/{id}/recurring_tokens/{token}/"
_CLIENTS: Final = (
    _route(
        "POST",
        "/clients/",
        clients.create_client,
        "relayed",
        "Create a client",
        schemas.CLIENT_ANSWER,
        schemas.CLIENT_REQUEST,
    ),
    _route("GET", "/clients/", clients.list_clients, "relayed", "List all clients", schemas.CLIENTS_ANSWER),
    _route("GET", _CLIENT, clients.read_one_client, "relayed", "Retrieve a client", schemas.CLIENT_ANSWER),
    _route(
        "PUT",
        _CLIENT,
        clients.update_client,
        "relayed",
        "Update a client",
        schemas.CLIENT_ANSWER,
        schemas.CLIENT_REQUEST,
    ),
    _route(
        "PATCH",
        _CLIENT,
        clients.update_client,
        "relayed",
        "Partially update a client",
        schemas.CLIENT_ANSWER,
        schemas.CLIENT_CHANGES,
    ),
    _route("DELETE", _CLIENT, clients.delete_client, "relayed", "Delete a client", schemas.NOTHING),
    _route(
        "GET",
        "/clients/{id}/recurring_tokens/",
        clients.list_cards,
        "relayed",
        "List recurring tokens",
        schemas.CARDS_ANSWER,
    ),
    _route("GET", _CARD, clients.read_card, "relayed", "Retrieve a recurring token", schemas.CARD_ANSWER),
    _route("DELETE", _CARD, clients.delete_card, "relayed", "Delete a recurring token", schemas.NOTHING),
)
_WEBHOOK: Final = "/webhooks/{id}/"
_WEBHOOKS: Final = (
    _route(
        "POST",
        "/webhooks/",
        webhooks.create_webhook,
        "owned",
        "Create a webhook",
        schemas.WEBHOOK_ANSWER,
        schemas.WEBHOOK_REQUEST,
    ),
    _route("GET", "/webhooks/", webhooks.list_webhooks, "owned", "List all webhooks", schemas.WEBHOOKS_ANSWER),
    _route("GET", _WEBHOOK, webhooks.read_webhook, "owned", "Retrieve a webhook", schemas.WEBHOOK_ANSWER),
    _route(
        "PUT",
        _WEBHOOK,
        webhooks.update_webhook,
        "owned",
        "Update a webhook",
        schemas.WEBHOOK_ANSWER,
        schemas.WEBHOOK_REQUEST,
    ),
    _route(
        "PATCH",
        _WEBHOOK,
        webhooks.update_webhook,
        "owned",
        "Partially update a webhook",
        schemas.WEBHOOK_ANSWER,
        schemas.WEBHOOK_CHANGES,
    ),
    _route("DELETE", _WEBHOOK, webhooks.delete_webhook, "owned", "Delete a webhook", schemas.NOTHING),
    # Of the company, with which CHIP itself signs the success callbacks of Purchases that were made there.
    _route("GET", "/public_key/", webhooks.read_public_key, "relayed", "Retrieve a public key", schemas.KEY_ANSWER),
)
_COMPANY: Final = (
    _route(
        "GET",
        "/payment_methods/",
        methods.list_methods,
        "relayed",
        "List of payment methods",
        schemas.METHODS_ANSWER,
    ),
    _route(
        "GET",
        "/account/json/balance/",
        account.read_balance,
        "relayed",
        "Get company balance",
        schemas.BALANCE_ANSWER,
    ),
    _route(
        "GET",
        "/account/json/turnover/",
        account.read_turnover,
        "relayed",
        "Get company turnover",
        schemas.TURNOVER_ANSWER,
    ),
)
_PAGES: Final = (
    _page("GET", f"{_PAGE}/", checkout.open_page, "The pay page of a purchase"),
    _page("POST", f"{_PAGE}/", checkout.submit_page, "Pay, let it fail, or leave", request_schema=schemas.PAY_REQUEST),
    _page("GET", f"{_PAGE}/direct_post/", checkout.open_page, "The pay page of a purchase, by its direct post address"),
    _page("POST", f"{_PAGE}/direct_post/", checkout.direct_post, "Pay by card from a form elsewhere"),
    _page("POST", f"{_PAGE}/3ds/", checkout.answer_bank, "What the holder of a card answers their bank"),
    _page("GET", f"{_PAGE}/invoice/", checkout.open_invoice, "What was paid"),
)
_STATEMENT: Final = "/company_statements/{id}/"
_STATEMENTS: Final = (
    _route(
        "POST",
        "/company_statements/",
        statements.schedule_statement,
        "relayed",
        "Schedule a statement",
        schemas.STATEMENT_ANSWER,
        schemas.STATEMENT_REQUEST,
    ),
    _route(
        "GET",
        "/company_statements/",
        statements.list_statements,
        "relayed",
        "List all statements",
        schemas.STATEMENTS_ANSWER,
    ),
    _route(
        "GET",
        _STATEMENT,
        statements.read_statement,
        "relayed",
        "Retrieve a statement",
        schemas.STATEMENT_ANSWER,
    ),
    _route(
        "POST",
        f"{_STATEMENT}cancel/",
        statements.cancel_statement,
        "relayed",
        "Cancel a statement",
        schemas.STATEMENT_ANSWER,
    ),
    _page("GET", "/s/{shop}/{id}/", statements.download_statement, "Download a statement"),
)
ROUTES: Final = (*_PURCHASES, *_CLIENTS, *_WEBHOOKS, *_COMPANY, *_STATEMENTS, *_PAGES)
