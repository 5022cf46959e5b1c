"""Trustly (US, formerly PayWithMyBank): account-to-account payments, and refunds of their captures.

Not Trustly Europe, whose API is another one.
"""

from __future__ import annotations

from typing import Final

from moneyback.core.payment import Capabilities, Payment
from moneyback.dialect import Dialect
from moneyback.dialects.trustly import captures, customers, establish, lists, payments, refunds, transactions
from moneyback.dialects.trustly.client import CLIENT
from moneyback.dialects.trustly.records import original_type
from moneyback.dialects.trustly.sandbox import SAMPLES, payment_document
from moneyback.dialects.trustly.server import SENTENCES, fault, presented
from moneyback.dialects.trustly.telling import tell
from moneyback.dialects.trustly.wire import CHECKS_ONLY, DIALECT_NAME, minimum


def capabilities(payment: Payment) -> Capabilities:
    """In part and in full, as often as wished, without a time limit; at least 0.99 (provider docs: Refund transaction).

    A balance below the minimum may still be given back by leaving the amount out: the documentation says that what
    remains is refunded then, and nothing of an exception. Authorisations moved no money, whatever they are said to be.
    """
    if original_type(payment) in CHECKS_ONLY:
        return Capabilities(full=False, partial=False)
    return Capabilities(minimum=minimum(payment.currency), minimum_spares_rest=True)


DIALECT: Final = Dialect(
    name=DIALECT_NAME,
    twin_port=9002,
    title="Trustly (US)",
    routes=(
        *refunds.ROUTES,
        *transactions.ROUTES,
        *lists.ROUTES,
        *captures.ROUTES,
        *establish.ROUTES,
        *payments.ROUTES,
        *customers.ROUTES,
    ),
    presented=presented,
    fault=fault,
    capabilities=capabilities,
    precedence=tuple(SENTENCES),
    base_path="/api/v1",
    payment_document=payment_document,
    natively=lambda _payment, _reference: {},
    tell=tell,
    endpoints=True,
    samples=SAMPLES,
    client=CLIENT,
    scrub=(
        *("authorization", "accessKey", "access_key", "requestSignature", "signature", "splitToken", "token"),
        # Bank login and payer: a whole object is one name. `address` and `customer` are the payer's.
        *("account", "accountNumber", "routingNumber", "iban", "customer", "customers", "address", "fingerprint", "ip"),
        *("beneficiary", "beneficiaryAccount", "beneficiaryAccount.accountNumber", "beneficiaryAccount.iban"),
        *("account.accountNumber", "account.routingNumber", "account.iban", "account.name", "account.token"),
        *("customer.name", "customer.email", "customer.phone", "customer.taxId", "customer.dateOfBirth"),
        *("beneficiary.name", "beneficiary.email", "beneficiary.dateOfBirth", "beneficiary.taxId"),
    ),
)
