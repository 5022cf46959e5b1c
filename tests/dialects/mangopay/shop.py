"""A platform that uses Mangopay from the first user to the last refund, through whatever carries its requests.

Every answer is held against the schema its route publishes, and every error against the form all errors have.
"""

from collections.abc import Callable, Mapping
from typing import Any

from moneyback.dialect import Outgoing, Route
from moneyback.dialects.mangopay import DIALECT, schemas
from moneyback.dialects.mangopay.limits import WINDOWS
from tests.dialects.driver import arguments, misfits, said

Send = Callable[[str, str, Any, Mapping[str, str]], Outgoing]

NUMBER, EXPIRY, CVX = "4970105181818183", "1229", "123"
IBAN = "FR7630004000031234567890143"
PERSON = {
    "FirstName": "Ann",
    "LastName": "Smith",
    "Email": "ann@example.com",
    "Birthday": 652117514,
    "Nationality": "FR",
    "CountryOfResidence": "FR",
    "TermsAndConditionsAccepted": True,
    "UserCategory": "OWNER",
}
COMPANY = {
    "Name": "Acme",
    "LegalPersonType": "BUSINESS",
    "Email": "acme@example.com",
    "LegalRepresentativeFirstName": "Ann",
    "LegalRepresentativeLastName": "Smith",
    "LegalRepresentativeBirthday": 652117514,
    "LegalRepresentativeNationality": "FR",
    "LegalRepresentativeCountryOfResidence": "FR",
    "TermsAndConditionsAccepted": True,
    "UserCategory": "OWNER",
}


def eur(amount: Any) -> dict[str, Any]:
    return {"Currency": "EUR", "Amount": amount}


def route_of(method: str, path: str) -> Route:
    """The route a request leads to: words before names, as the mount finds them."""
    bare = path.partition("?")[0].rstrip("/")
    found = [route for route in DIALECT.routes if route.method == method and arguments(route, bare.lower()) is not None]
    return min(found, key=lambda route: route.path.count("{"))


class Shop:
    """The client `demo`, one payer, one seller, a card and a wallet each."""

    def __init__(self, send: Send) -> None:
        self.send = send
        self.payer = self.made("users/natural", PERSON)["Id"]
        self.seller = self.made("users/legal", COMPANY)["Id"]
        self.wallet = self.new_wallet(self.payer)
        self.till = self.new_wallet(self.seller)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Outgoing:
        """One request below the client's own path, and what holds of every answer."""
        full = f"/v2.01/demo/{path}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        outgoing = self.send(method, full, body, named)
        well_formed(outgoing, route_of(method, full))
        return outgoing

    def made(self, path: str, body: Any = None, *, method: str = "POST", **headers: str) -> Any:
        """The object of a request that must succeed."""
        outgoing = self.ask(method, path, body, **headers)
        assert outgoing.status == 200, said(outgoing)
        return said(outgoing)

    def changed(self, path: str, body: Any = None) -> Any:
        return self.made(path, body, method="PUT")

    def seen(self, path: str) -> Any:
        return self.made(path, method="GET")

    def wrong(self, path: str, body: Any = None, *, method: str = "POST", status: int = 400) -> Any:
        """The errors of a request that must be refused."""
        outgoing = self.ask(method, path, body)
        assert outgoing.status == status, said(outgoing)
        return said(outgoing)["errors"] or said(outgoing)["Type"]

    def new_wallet(self, owner: str, currency: str = "EUR") -> str:
        asked = {"Owners": [owner], "Description": "Till", "Currency": currency}
        return str(self.made("wallets", asked)["Id"])

    def balance(self, wallet: str) -> int:
        return int(self.seen(f"wallets/{wallet}")["Balance"]["Amount"])

    def registration(self, **members: Any) -> Any:
        return self.made("cardregistrations", {"UserId": self.payer, "Currency": "EUR"} | members)

    def tokenized(self, registration: Any, **fields: str) -> str:
        """What the tokenizer answers the payer's browser."""
        form = {
            "data": registration["PreregistrationData"],
            "accessKeyRef": registration["AccessKey"],
            "cardNumber": NUMBER,
            "cardExpirationDate": EXPIRY,
            "cardCvx": CVX,
        } | fields
        path = registration["CardRegistrationURL"]
        outgoing = self.send("POST", path[path.index("/v2.01/") :], form, {"form": "yes"})
        assert outgoing.status == 200
        assert isinstance(outgoing.body, bytes)
        return outgoing.body.decode()

    def new_card(self) -> str:
        begun = self.registration()
        finished = self.changed(f"cardregistrations/{begun['Id']}", {"RegistrationData": self.tokenized(begun)})
        assert (finished["Status"], finished["ResultCode"]) == ("VALIDATED", "000000")
        return str(finished["CardId"])

    def stated(self, amount: int = 100_00, fees: int = 10_00, **members: Any) -> dict[str, Any]:
        """What every pay-in states."""
        wallet = {"AuthorId": self.payer, "CreditedWalletId": self.wallet}
        return wallet | {"DebitedFunds": eur(amount), "Fees": eur(fees)} | members

    def pay(self, amount: int = 100_00, fees: int = 10_00, **members: Any) -> Any:
        """A card pay-in that succeeds."""
        card = {"CardId": self.new_card(), "SecureModeReturnURL": "https://shop.example/back"}
        payin = self.made("payins/card/direct", self.stated(amount, fees, **card, **members))
        assert payin["Status"] == "SUCCEEDED", payin
        return payin

    def account(self) -> str:
        owner = {"OwnerName": "Ann Smith", "OwnerAddress": {"City": "Paris", "Country": "FR"}}
        return str(self.made(f"users/{self.payer}/bankaccounts/iban", owner | {"IBAN": IBAN})["Id"])

    def transfer(self, amount: int, fees: int = 0, **members: Any) -> Any:
        both = {"DebitedWalletId": self.wallet, "CreditedWalletId": self.till}
        funds = {"DebitedFunds": eur(amount), "Fees": eur(fees)}
        return self.made("transfers", {"AuthorId": self.payer} | both | funds | members)


def well_formed(outgoing: Outgoing, route: Route) -> None:
    """Four rate-limit lines a header; the published members and types; or the error every call has."""
    lines = [value for name, value in outgoing.headers.items() if name.lower() == "x-ratelimit-remaining"]
    assert sorted(map(int, ",".join(lines).split(","))) == [most - 1 for most in WINDOWS.values()]
    if outgoing.status == 200 and outgoing.body is None:
        assert route.response_schema == {"type": "null"}
    elif outgoing.status == 200:
        assert misfits(route.response_schema, outgoing) == [], said(outgoing)
    elif outgoing.status != 204:
        assert list(said(outgoing)) == ["Message", "Type", "Id", "Date", "errors"]
        assert misfits(schemas.ERROR, outgoing) == []
