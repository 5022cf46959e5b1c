"""What CHIP's pages say of every answer: each member, its type, and where it may be null."""

from typing import Any

from moneyback.dialect import Outgoing
from moneyback.dialects.chip.wire import ATTEMPT_CODES
from tests.dialects.driver import misfits, said

UUID4 = {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}
TEXT, INTEGER, BOOLEAN, NULL = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}, {"type": "null"}
UNIX = {"type": "integer", "minimum": 1_000_000_000}
TEXT_OR_NULL = {"type": ["string", "null"]}
INTEGER_OR_NULL = {"type": ["integer", "null"]}
UUID_OR_NULL = {"anyOf": [UUID4, NULL]}


def whole(**members: Any) -> dict[str, Any]:
    """An object of exactly these members."""
    return {
        "type": "object",
        "properties": members,
        "required": [name for name in members if not name.endswith("_")],
        "additionalProperties": False,
    }


def words(text: str) -> dict[str, Any]:
    return {"enum": text.split()}


STATUSES = """created sent viewed overdue error pending_execute pending_charge cancelled expired blocked hold
    pending_capture pending_release released preauthorized paid cleared settled pending_refund refunded chargeback"""

CLIENT_TEXTS = """email phone full_name personal_code legal_name brand_name registration_number tax_number bank_account
    bank_code street_address city zip_code country state shipping_street_address shipping_city shipping_zip_code
    shipping_country shipping_state"""
CLIENT = whole(
    client_type=NULL,
    **dict.fromkeys(CLIENT_TEXTS.split(), TEXT),
    cc={"type": "array"},
    bcc={"type": "array"},
    delivery_methods={"type": "array", "items": whole(method=words("email text_message"), options={"type": "object"})},
)
DETAILS = whole(
    is_outgoing=BOOLEAN,
    payment_type=words("purchase purchase_charge payout bank_payment refund custom"),
    amount=INTEGER,
    currency=TEXT,
    net_amount=INTEGER,
    fee_amount=INTEGER,
    pending_amount=INTEGER,
    pending_unfreeze_on=NULL,
    description=TEXT,
    paid_on=UNIX,
    remote_paid_on=UNIX,
    owned_bank_account_id=NULL,
    owned_bank_account=NULL,
    owned_bank_code=NULL,
)
EXTRA = {
    "type": "object",
    "properties": {
        "masked_pan": {"type": "string", "pattern": r"^\d{6}\*{6}\d{4}$"},
        "three_d_secure": BOOLEAN,
        "expiry_month": {"type": "integer", "minimum": 1, "maximum": 12},
        "expiry_year": {"type": "integer", "minimum": 2000},
        "cardholder_name": TEXT,
    },
    "additionalProperties": False,
}
ATTEMPT = whole(
    type=words("execute authorize release capture recurring_execute delete_recurring_token refund"),
    successful=BOOLEAN,
    payment_method=TEXT,
    flow=TEXT,
    extra=EXTRA,
    country=TEXT,
    client_ip=TEXT,
    processing_time=UNIX,
    fee_amount=INTEGER,
    processing_tx_id=TEXT,
    error={"anyOf": [NULL, whole(code={"enum": sorted(ATTEMPT_CODES)}, message={"type": "string", "minLength": 1})]},
)
TRANSACTION_DATA = whole(
    payment_method=TEXT,
    flow=TEXT,
    processing_tx_id=TEXT,
    extra=EXTRA,
    country=TEXT,
    attempts={"type": "array", "items": ATTEMPT},
)
PAYMENT = whole(
    type={"const": "payment"},
    id=UUID4,
    created_on=UNIX,
    updated_on=UNIX,
    client=CLIENT,
    payment=DETAILS,
    transaction_data=TRANSACTION_DATA,
    related_to=whole(type={"const": "purchase"}, id=UUID4, reference=TEXT),
    reference_generated=TEXT,
    reference={"type": "string", "maxLength": 128},
    account_id=UUID4,
    company_id=UUID4,
    is_test=BOOLEAN,
    user_id=TEXT_OR_NULL,
    brand_id=UUID4,
    status={"const": "success"},
)
PRODUCT = whole(
    name=TEXT,
    price=INTEGER,
    quantity={"type": "string", "pattern": r"^\d+\.\d{4}$"},
    discount=INTEGER,
    tax_percent={"type": "string", "pattern": r"^\d+\.\d{2}$"},
    category=TEXT,
    total_price_override=INTEGER_OR_NULL,
)
PURCHASE_DETAILS = whole(
    currency=TEXT,
    products={"type": "array", "items": PRODUCT, "minItems": 1},
    total=INTEGER,
    language=TEXT,
    notes=TEXT,
    debt=INTEGER,
    subtotal_override=INTEGER_OR_NULL,
    total_tax_override=INTEGER_OR_NULL,
    total_discount_override=INTEGER_OR_NULL,
    total_override=INTEGER_OR_NULL,
    request_client_details={"type": "array"},
    timezone=TEXT,
    due_strict=BOOLEAN,
    email_message=TEXT,
    shipping_options={"type": "array"},
    payment_method_details={"type": "object"},
    has_upsell_products=BOOLEAN,
    metadata={"type": "object"},
    single_attempt=BOOLEAN,
)
HISTORY = {
    "type": "object",
    "properties": {
        "status": words(STATUSES),
        "timestamp": UNIX,
        "related_object": whole(type={"const": "payment"}, id=UUID4),
    },
    "required": ["status", "timestamp"],
    "additionalProperties": False,
}
ISSUER_TEXTS = """website brand_name legal_name registration_number tax_number legal_street_address legal_city
    legal_zip_code legal_country"""
PURCHASE = whole(
    client=CLIENT,
    purchase=PURCHASE_DETAILS,
    payment={"anyOf": [NULL, DETAILS]},
    issuer_details=whole(
        **dict.fromkeys(ISSUER_TEXTS.split(), TEXT),
        bank_accounts={"type": "array", "items": whole(bank_account=TEXT, bank_code=TEXT)},
    ),
    transaction_data=TRANSACTION_DATA,
    status=words(STATUSES),
    status_history={"type": "array", "items": HISTORY, "minItems": 1},
    viewed_on={"anyOf": [UNIX, NULL]},
    company_id=UUID4,
    is_test=BOOLEAN,
    user_id=NULL,
    brand_id=UUID4,
    billing_template_id=NULL,
    order_id=NULL,
    client_id=UUID_OR_NULL,
    send_receipt=BOOLEAN,
    skip_capture=BOOLEAN,
    force_recurring=BOOLEAN,
    is_recurring_token=BOOLEAN,
    marked_as_paid=BOOLEAN,
    recurring_token=UUID_OR_NULL,
    reference_generated=TEXT,
    reference={"type": "string", "maxLength": 128},
    issued={"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
    due={"anyOf": [UNIX, NULL]},
    refund_availability=words("all full_only partial_only pis_all pis_partial none"),
    refundable_amount={"type": "integer", "minimum": 0},
    currency_conversion=NULL,
    payment_method_whitelist={"anyOf": [NULL, {"type": "array", "items": TEXT, "minItems": 1}]},
    success_redirect=TEXT,
    failure_redirect=TEXT,
    cancel_redirect=TEXT,
    success_callback=TEXT,
    creator_agent=TEXT,
    platform=TEXT,
    product=words("purchases billing_invoices billing_subscriptions billing_subscriptions_invoice"),
    created_from_ip=TEXT,
    invoice_url=NULL,
    checkout_url=TEXT,
    direct_post_url=TEXT_OR_NULL,
    upsell_campaigns={"type": "array"},
    referral_campaign_id=NULL,
    referral_code=NULL,
    referral_code_details=NULL,
    referral_code_generated=NULL,
    retain_level_details=NULL,
    can_retrieve=BOOLEAN,
    can_chargeback=BOOLEAN,
    can_reverse_chargeback=BOOLEAN,
    tags={"type": "array"},
    created_on=UNIX,
    updated_on=UNIX,
    type={"const": "purchase"},
    id=UUID4,
)
WHOLE_CLIENT = whole(type={"const": "client"}, id=UUID4, created_on=UNIX, updated_on=UNIX, **CLIENT["properties"])
CARD = whole(
    type={"const": "client_recurring_token"},
    id=UUID4,
    created_on=UNIX,
    updated_on=UNIX,
    payment_method=words("visa mastercard maestro"),
    description=TEXT,
)
WEBHOOK = whole(
    type={"const": "webhook"},
    id=UUID4,
    created_on=UNIX,
    updated_on=UNIX,
    title={"type": "string", "maxLength": 100},
    all_events=BOOLEAN,
    events={"type": "array", "items": TEXT, "uniqueItems": True},
    callback={"type": "string", "maxLength": 500},
    public_key={"type": "string", "pattern": "^-----BEGIN PUBLIC KEY-----"},
)
STATEMENT = whole(
    format=words("csv xlsx"),
    timezone=TEXT,
    is_test=BOOLEAN,
    company_uid=UUID4,
    query_string=TEXT,
    status=words("pending processing success cancelled"),
    download_url=TEXT,
    began_on={"anyOf": [UNIX, NULL]},
    finished_on={"anyOf": [UNIX, NULL]},
    created_on=UNIX,
    updated_on=UNIX,
    type={"const": "company_statement"},
    id=UUID4,
)
OBJECTS = {
    "company_statement": STATEMENT,
    "payment": PAYMENT,
    "purchase": PURCHASE,
    "client": WHOLE_CLIENT,
    "client_recurring_token": CARD,
    "webhook": WEBHOOK,
}


def listed(item: dict[str, Any]) -> dict[str, Any]:
    """A page of a list."""
    return whole(results={"type": "array", "items": item}, next=TEXT_OR_NULL, previous=TEXT_OR_NULL)


ERROR = whole(message={"type": "string", "minLength": 1}, code={"type": "string", "pattern": "^[a-z0-9_]+$"})
ERRORS = {
    "type": "object",
    "required": ["__all__"],
    "properties": {"__all__": {"type": "array", "minItems": 1, "items": ERROR}},
    "additionalProperties": {"type": ["array", "object"], "minItems": 1},
}


def fits(answer: Outgoing) -> Any:
    """The body, once it satisfies the schema of what it says it is, members in the documented order."""
    body = said(answer)
    if answer.status not in (200, 201):
        assert misfits(ERRORS, answer) == []
        return body
    schema = OBJECTS[body["type"]]
    assert misfits(schema, answer) == []
    assert list(body) == list(schema["properties"])
    if body["type"] == "purchase":
        assert body["status_history"][-1]["status"] == body["status"]
        assert (body["refundable_amount"] == 0) == (body["refund_availability"] == "none")
        times = [attempt["processing_time"] for attempt in body["transaction_data"]["attempts"]]
        assert times == sorted(times, reverse=True)
    return body
