"""Pay-ins: money from outside into a wallet, by card, by a page the payer is sent to, by mandate, by bank wire."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Final

import msgspec

from moneyback.core.payment import Payment, PaymentKind
from moneyback.dialect import Ask, Caller, FindPayment, Incoming, LeaveToProvider, LoadDocument, NextNumber, Outgoing
from moneyback.dialects.mangopay import calls, cards, complaints, mandates, redirects, schemas, statements, webmembers
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.members import Members
from moneyback.dialects.mangopay.statements import WAITING, Made, Payin
from moneyback.dialects.mangopay.transactions import MANDATE_UNFIT, payin_object
from moneyback.dialects.mangopay.wire import author_of

SECURE_MODES: Final = ("DEFAULT", "FORCE", "NO_CHOICE")

BANK_ACCOUNT: Final[Mapping[str, Any]] = {
    "Type": "IBAN",
    "OwnerAddress": {
        "AddressLine1": "2 Avenue Amélie",
        "AddressLine2": None,
        "City": "Luxembourg",
        "Region": None,
        "PostalCode": "L-1125",
        "Country": "LU",
    },
    "OwnerName": "MANGOPAY SA",
    "IBAN": "FR7630056009271234567890182",
    "BIC": "CCFRFRPPXXX",
}
"""Where wires are sent to (provider docs: bank wire pay-ins)."""

ALSO_THE_PAGE: Final[Mapping[str, tuple[str, ...]]] = {
    "BCMC": ("DeepLinkURL",),
    "PAYCONIQ": ("DeepLinkURL", "QRCodeURL"),
}
"""Other ways to the payer's app. Here all of them lead to the page."""

Data = dict[str, Any]


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """A way to pay in: its path, its words, what its body may say, and how what was stated comes out."""

    path: str
    word: str
    execution: str
    summary: str
    read: Callable[[Members], Data]
    finish: Callable[[Method, Incoming, Caller, Payin, Data, str], Generator[Ask, Any, Made | Complaint]]
    declared: bool = False
    request: Mapping[str, Any] = {}


def creates(method: Method) -> calls.Handler:
    """The handler of one way to pay in."""

    def create_payin(incoming: Incoming, caller: Caller) -> Answer:
        body = Members(incoming.body)
        payin, said = statements.parse(body, declared=method.declared), method.read(body)
        if body.errors:
            return complaints.parameters(body.errors)
        placed = yield from statements.place(payin)
        if isinstance(placed, Complaint):
            return placed
        identity = str((yield NextNumber()))
        made = yield from method.finish(method, incoming, caller, placed, said, identity)
        if isinstance(made, Complaint):
            return made
        payment = yield from statements.register(placed, made)
        return Outgoing(body=payin_object(payment))

    return create_payin


# --- cards -----------------------------------------------------------------------------------------------------------


def read_card(body: Members) -> Data:
    """What a card pay-in may say beyond the common members."""
    return {
        "CardId": body.identity("CardId"),
        "SecureMode": body.word("SecureMode", SECURE_MODES, otherwise="DEFAULT"),
        "SecureModeReturnURL": body.url("SecureModeReturnURL"),
        **webmembers.around(body),
        "PreferredCardNetwork": body.text("PreferredCardNetwork"),
        "PaymentCategory": body.text("PaymentCategory") or cards.CATEGORY,
        "Requested3DSVersion": body.text("Requested3DSVersion"),
    }


def pay_by_card(
    method: Method, incoming: Incoming, caller: Caller, payin: Payin, said: Data, identity: str
) -> Generator[Ask, Any, Made | Complaint]:
    """A card pays at once, unless its holder is to be asked (SecureMode FORCE)."""
    card = yield from cards.usable(said["CardId"], payin.author)
    if isinstance(card, Complaint):
        return card
    if card["Currency"] != payin.funds.currency:
        words = f"The card's currency {card['Currency']} and the debitedAmount's currency {payin.funds.currency}"
        return complaints.currencies(f"{words} must be the same")
    asked = said["SecureMode"] == "FORCE"
    shown = {
        **said,
        **(yield from secure(incoming, caller, said, identity, "transactionId", asked)),
        "CardInfo": cards.info(card),
        "SecurityInfo": {"AVSResult": "NO_CHECK"},
    }
    return Made(
        identity=identity,
        method=method.word,
        execution=method.execution,
        status=WAITING if asked else statements.CAPTURED,
        shown=shown,
        used={"CardId": card["Id"]},
    )


def secure(
    incoming: Incoming, caller: Caller, said: Data, identity: str, name: str, asked: bool
) -> Generator[Ask, Any, Data]:
    """How the holder's bank is involved: where to send the holder, when that is needed."""
    return {
        "SecureModeReturnURL": redirects.returning(said["SecureModeReturnURL"], name, identity),
        "SecureModeRedirectURL": (yield from redirects.page_url(incoming, caller, identity)) if asked else None,
        "SecureModeNeeded": asked,
        "Applied3DSVersion": "V2_1",
    }


# --- a page the payer is sent to -------------------------------------------------------------------------------------


def read_card_web(body: Members) -> Data:
    """The page for cards."""
    said = webmembers.read_web(body)
    said.pop("Phone", None)
    return {
        **said,
        "CardType": body.word("CardType", cards.TYPES, otherwise="CB_VISA_MASTERCARD"),
        "SecureMode": body.word("SecureMode", SECURE_MODES, otherwise="DEFAULT"),
        "BankName": body.text("Bic"),
    }


def send_to_page(
    method: Method, incoming: Incoming, caller: Caller, _payin: Payin, said: Data, identity: str
) -> Generator[Ask, Any, Made]:
    """The pay-in waits until the payer has decided."""
    page = yield from redirects.page_url(incoming, caller, identity)
    back: Data = {
        name: redirects.returning(said[name], "transactionId", identity)
        for name in ("ReturnURL", "CancelURL")
        if name in said
    }
    links: Data = dict.fromkeys(("RedirectURL", *ALSO_THE_PAGE.get(method.word, ())), page)
    shown = {**said, **links, **back}
    return Made(identity=identity, method=method.word, execution=method.execution, status=WAITING, shown=shown)


# --- without a page --------------------------------------------------------------------------------------------------


def read_token(body: Members) -> Data:
    """A payment token of a phone maker is never kept."""
    return {name: value for name, value in webmembers.around(body).items() if name != "Culture"}


def pay_at_once(
    method: Method, _incoming: Incoming, _caller: Caller, _payin: Payin, said: Data, identity: str
) -> Generator[Ask, Any, Made]:
    """The money is there."""
    yield from ()
    return Made(identity=identity, method=method.word, execution=method.execution, shown=said)


def read_nothing(_body: Members) -> Data:
    """Nothing beyond the common members."""
    return {}


def read_mandate(body: Members) -> Data:
    """The mandate to collect by."""
    return {"MandateId": body.identity("MandateId")}


def collect(
    method: Method, incoming: Incoming, _caller: Caller, payin: Payin, said: Data, identity: str
) -> Generator[Ask, Any, Made | Complaint]:
    """A mandate that is in force is collected at once; any other makes the pay-in fail."""
    mandate: Data | None = yield LoadDocument(mandates.KIND, said["MandateId"])
    if mandate is None or mandate["UserId"] != payin.author:
        return complaints.absent("MandateId", "Mandate", said["MandateId"])
    fit = mandate["Status"] in mandates.IN_FORCE
    at = int((yield from calls.now(incoming)).timestamp())
    return Made(
        identity=identity,
        method=method.word,
        execution=method.execution,
        code=None if fit else MANDATE_UNFIT,
        shown={"MandateId": mandate["Id"], "ChargeDate": at if fit else None},
        used={"MandateId": mandate["Id"]},
    )


def expect_wire(
    method: Method, _incoming: Incoming, _caller: Caller, _payin: Payin, _said: Data, identity: str
) -> Generator[Ask, Any, Made]:
    """A wire is announced; it arrives later."""
    yield from ()
    shown = {"WireReference": f"MG{identity}", "BankAccount": dict(BANK_ACCOUNT), "TransactionDetails": []}
    return Made(identity=identity, method=method.word, execution=method.execution, status=WAITING, shown=shown)


# --- read back -------------------------------------------------------------------------------------------------------


def view_payin(incoming: Incoming, _caller: Caller) -> Answer:
    """One pay-in, whatever its payment method. Its refunds do not change it: in front of Mangopay it alone shows it."""
    yield LeaveToProvider()
    payment = yield from load(incoming.arguments["PayInId"])
    return payment if isinstance(payment, Complaint) else Outgoing(body=payin_object(payment))


def load(identity: str) -> Generator[Ask, Any, Payment | Complaint]:
    """A pay-in, or the 404 that stands for it."""
    payment: Payment | None = yield FindPayment(identity)
    if payment is None or payment.kind is not PaymentKind.PAYIN:
        return complaints.not_found("PayIn", identity)
    return payment


def view_card_details(incoming: Incoming, _caller: Caller) -> Answer:
    """What is known of the card of a pay-in that was made on a page."""
    payment = yield from load(incoming.arguments["PayInId"])
    if isinstance(payment, Complaint):
        return payment
    shown = payin_object(payment)
    if (shown["PaymentType"], shown["ExecutionType"]) != ("CARD", "WEB"):
        return complaints.not_found("PayIn", payment.dialect_id)
    paid = shown["Status"] == "SUCCEEDED"
    details = {
        "Id": payment.dialect_id,
        "PaymentType": shown["PaymentType"],
        "ExecutionType": shown["ExecutionType"],
        "Alias": "497010XXXXXX8183" if paid else None,
        "CardType": shown["CardType"],
        "ExpirationDate": "1229" if paid else None,
        "Country": "FRA" if paid else None,
        "Fingerprint": None,
        "AuthorId": author_of(payment),
    }
    return Outgoing(body=details)


_ON_A_PAGE: Final[Mapping[Callable[[Members], Data], Mapping[str, Any]]] = {
    **dict.fromkeys((webmembers.read_page_or_not, webmembers.read_blik), schemas.PAYIN_REQUEST),
    webmembers.read_bizum: schemas.PAYIN_BIZUM_REQUEST,
    **dict.fromkeys((webmembers.read_paypal, webmembers.read_paypal_older), schemas.PAYIN_PAYPAL_REQUEST),
    webmembers.read_klarna: schemas.PAYIN_KLARNA_REQUEST,
}
"""What the bodies that are read so look like, where it is not the common one."""


def _by_page(word: str, path: str, name: str, read: Callable[[Members], Data] = webmembers.read_web) -> Method:
    return Method(
        path=path,
        word=word,
        execution="WEB",
        summary=f"Pay in by {name}",
        read=read,
        finish=send_to_page,
        request=_ON_A_PAGE.get(read, schemas.PAYIN_WEB_REQUEST),
    )


def _by_token(word: str, path: str, name: str) -> Method:
    return Method(
        path=path,
        word=word,
        execution="DIRECT",
        summary=f"Pay in by {name}",
        read=read_token,
        finish=pay_at_once,
        request=schemas.PAYIN_REQUEST,
    )


METHODS: Final = (
    Method(
        path="/payins/card/direct",
        word="CARD",
        execution="DIRECT",
        summary="Pay in by a registered card",
        read=read_card,
        finish=pay_by_card,
        request=schemas.PAYIN_CARD_REQUEST,
    ),
    _by_page("CARD", "/payins/card/web", "card, on a page", read_card_web),
    Method(
        path="/payins/bankwire/direct",
        word="BANK_WIRE",
        execution="DIRECT",
        summary="Announce a bank wire",
        read=read_nothing,
        finish=expect_wire,
        declared=True,
        request=schemas.PAYIN_WIRE_REQUEST,
    ),
    Method(
        path="/payins/directdebit/direct",
        word="DIRECT_DEBIT",
        execution="DIRECT",
        summary="Collect by a mandate",
        read=read_mandate,
        finish=collect,
        request=schemas.PAYIN_DEBIT_REQUEST,
    ),
    _by_page("DIRECT_DEBIT", "/payins/directdebit/web", "direct debit, on a page"),
    _by_page("PAYPAL", "/payins/paypal/web", "PayPal, the older path", webmembers.read_paypal_older),
    _by_page("PAYPAL", "/payins/payment-methods/paypal", "PayPal", webmembers.read_paypal),
    _by_page("PAYCONIQ", "/payins/payconiq/web", "Payconiq, the older path", webmembers.read_payconiq),
    _by_page("PAYCONIQ", "/payins/payment-methods/payconiq", "Payconiq", webmembers.read_payconiq),
    _by_page("MBWAY", "/payins/payment-methods/mbway", "MB WAY", webmembers.read_page_or_not),
    _by_page("MULTIBANCO", "/payins/payment-methods/multibanco", "Multibanco", webmembers.read_page_or_not),
    _by_page("SATISPAY", "/payins/payment-methods/satispay", "Satispay"),
    _by_page("BLIK", "/payins/payment-methods/blik", "BLIK", webmembers.read_blik),
    _by_page("KLARNA", "/payins/payment-methods/klarna", "Klarna", webmembers.read_klarna),
    _by_page("IDEAL", "/payins/payment-methods/ideal", "iDEAL"),
    _by_page("GIROPAY", "/payins/payment-methods/giropay", "Giropay"),
    _by_page("SWISH", "/payins/payment-methods/swish", "Swish", webmembers.read_page_or_not),
    _by_page("TWINT", "/payins/payment-methods/twint", "TWINT", webmembers.read_page_or_not),
    _by_page("BCMC", "/payins/payment-methods/bancontact", "Bancontact", webmembers.read_bancontact),
    _by_page("BIZUM", "/payins/payment-methods/bizum", "Bizum", webmembers.read_bizum),
    _by_page("PAY_BY_BANK", "/payins/payment-methods/openbanking", "Pay by Bank"),
    _by_token("APPLEPAY", "/payins/applepay/direct", "Apple Pay"),
    _by_token("APPLEPAY", "/payins/payment-methods/applepay", "Apple Pay, the newer path"),
    _by_token("GOOGLEPAY", "/payins/googlepay/direct", "Google Pay, the older path"),
    _by_token("GOOGLE_PAY", "/payins/payment-methods/googlepay", "Google Pay"),
)
"""Every way to pay in that is one call; preauthorized and recurring pay-ins follow from another object first."""

ROUTES: Final = (
    *(
        calls.route("POST", each.path, creates(each), each.summary, asked=each.request, answered=schemas.PAYIN)
        for each in METHODS
    ),
    calls.route("GET", "/payins/{PayInId}", view_payin, "View a pay-in", kind="owned", answered=schemas.PAYIN),
    calls.route(
        "GET",
        "/payins/card/web/{PayInId}/extended",
        view_card_details,
        "View the card of a pay-in made on a page",
        answered=schemas.CARD_DETAILS,
    ),
)
