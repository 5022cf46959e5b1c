"""Moneyback in front of Mangopay: a platform's own client calls us instead, and what it gives back is given once."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from uuid import uuid4

import pytest

from moneyback.dialect import Call
from moneyback.flows.deliver import deliver_due
from moneyback.flows.read_news import read_news
from moneyback.store.deliveries import Due
from tests.dialects.mangopay.shop import CVX, EXPIRY, IBAN, NUMBER, PERSON, eur
from tests.e2e.test_loopback import everything
from tests.front.street import FAR, Answer, Fate, Street, a_street, add_rail

pytestmark = pytest.mark.anyio

BACK = "https://shop.example/back"
DATED = {"CreationDate", "ExecutionDate"}
"""Members of a refund that say when it was asked for and done: we are asked earlier, and hear later."""


class Platform:
    """A client of Mangopay's: one payer with a wallet, a bank account, and a card whenever it pays."""

    def __init__(self, street: Street) -> None:
        self.street = street
        self.base = f"/v2.01/{street.section['client_id']}"
        self.payer = self.wallet = self.account = ""

    async def open(self) -> None:
        self.payer = (await self.made("users/natural", PERSON))["Id"]
        self.wallet = await self.new_wallet()
        owner = {"OwnerName": "Ann Smith", "OwnerAddress": {"City": "Paris", "Country": "FR"}, "IBAN": IBAN}
        self.account = (await self.made(f"users/{self.payer}/bankaccounts/iban", owner))["Id"]

    async def new_wallet(self) -> str:
        asked = {"Owners": [self.payer], "Description": "Till", "Currency": "EUR"}
        return str((await self.made("wallets", asked))["Id"])

    async def ask(self, method: str, path: str, body: Any = None, *, directly: bool = False, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.street.client(method, f"{self.base}/{path}", body, headers=named, directly=directly)

    async def made(self, path: str, body: Any = None, *, method: str = "POST", **more: Any) -> Any:
        said = await self.ask(method, path, body, **more)
        assert said.status == 200, said
        return said.json

    async def seen(self, path: str, *, directly: bool = False) -> Any:
        return await self.made(path, method="GET", directly=directly)

    async def pay(self, amount: int = 100_00, fees: int = 10_00, **more: Any) -> Any:
        """A card pay-in that succeeds; its number goes from the payer's browser to the provider."""
        begun = await self.made("cardregistrations", {"UserId": self.payer, "Currency": "EUR"})
        form = {"data": begun["PreregistrationData"], "accessKeyRef": begun["AccessKey"]}
        card = {"cardNumber": NUMBER, "cardExpirationDate": EXPIRY, "cardCvx": CVX}
        path = begun["CardRegistrationURL"].removeprefix(FAR)
        written = await self.street.far.http.post(path, data=form | card)
        finished = await self.made(f"cardregistrations/{begun['Id']}", {"RegistrationData": written.text}, method="PUT")
        stated = {"AuthorId": self.payer, "CreditedWalletId": self.wallet, "CardId": finished["CardId"]}
        funds = {"DebitedFunds": eur(amount), "Fees": eur(fees), "SecureModeReturnURL": BACK}
        payin = await self.made("payins/card/direct", stated | funds, **more)
        assert payin["Status"] == "SUCCEEDED", payin
        return payin

    async def wire(self, amount: int = 50_00) -> Any:
        """A wire that has arrived."""
        stated = {"AuthorId": self.payer, "CreditedWalletId": self.wallet}
        funds = {"DeclaredDebitedFunds": eur(amount), "DeclaredFees": eur(0)}
        payin = await self.made("payins/bankwire/direct", stated | funds)
        return await self.made(f"payins/{payin['Id']}/outcome", {"Status": "SUCCEEDED"})

    def payout(self, payin: Any, amount: int, **members: Any) -> dict[str, Any]:
        return {
            "AuthorId": self.payer,
            "DebitedWalletId": self.wallet,
            "BankAccountId": self.account,
            "DebitedFunds": eur(amount),
            "Fees": eur(0),
            "PaymentRef": {"ReasonType": "PAYIN_REFUND", "ReferenceId": payin["Id"]},
        } | members

    def amounts(self, debited: int, fees: int = 0, **members: Any) -> dict[str, Any]:
        return {"AuthorId": self.payer, "DebitedFunds": eur(debited), "Fees": eur(fees)} | members

    async def refund(self, payin: Any, body: Any = None, **more: Any) -> Any:
        asked = {"AuthorId": self.payer} if body is None else body
        return await self.made(f"payins/{payin['Id']}/refunds", asked, **more)

    async def balance(self) -> int:
        return int((await self.seen(f"wallets/{self.wallet}"))["Balance"]["Amount"])


@pytest.fixture(scope="module")
async def street(ends: tuple[str, str]) -> AsyncIterator[Street]:
    async with a_street(*ends, "mangopay") as opened:
        yield opened


@pytest.fixture(scope="module")
async def platform(street: Street) -> Platform:
    made = Platform(street)
    await made.open()
    return made


@pytest.fixture(autouse=True)
async def nothing_is_lost(street: Street) -> AsyncIterator[None]:
    street.line.calls.clear()
    yield
    street.line.fate = lambda _call: "arrives"
    await street.assert_clean()


def gives_back(call: Call) -> bool:
    return call.method == "POST" and call.path.endswith(("/refunds", "/payouts/bankwire"))


def befalls(fate: Fate) -> Callable[[Call], Fate]:
    """What becomes of the calls that give something back; everything else arrives."""
    return lambda call: fate if gives_back(call) else "arrives"


def sent(street: Street) -> list[Call]:
    return [each for each in street.line.calls if gives_back(each)]


def undated(shown: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name not in DATED}


def ending(refund: Mapping[str, Any]) -> tuple[str, str | None, int]:
    return refund["Status"], refund["ResultCode"], refund["CreditedFunds"]["Amount"]


# --- the walk ---------------------------------------------------------------------------------------------------------


async def test_a_pay_in_is_refunded_in_parts_and_no_further(street: Street, platform: Platform):
    before = await platform.balance()
    payin = await platform.pay(100_00, 10_00)
    assert await platform.seen(f"payins/{payin['Id']}") == payin
    assert await platform.seen(f"payins/{payin['Id']}", directly=True) == payin

    part = await platform.refund(payin, platform.amounts(30_00, -3_00, Tag="one"))
    assert (*ending(part), part["Tag"]) == ("SUCCEEDED", "000000", 33_00, "one")
    above = await platform.ask("POST", f"payins/{payin['Id']}/refunds", platform.amounts(90_01))
    over = {"DebitedFunds": "DebitedFunds cannot be superior the CreditedFunds of the initial PayIn"}
    assert (above.status, above.json["errors"]) == (400, over)
    sum_above = await platform.refund(payin, platform.amounts(60_01))
    assert ending(sum_above) == ("FAILED", "005403", 60_01)
    rest = await platform.refund(payin, platform.amounts(60_00, -7_00))
    assert ending(rest) == ("SUCCEEDED", "000000", 67_00)
    nothing = await platform.refund(payin)
    assert ending(nothing) == ("FAILED", "001401", 100_00)

    assert await street.executed(payin["Id"]) == [33_00, 67_00]
    assert [json.loads(each.body) for each in sent(street)] == [
        platform.amounts(30_00, -3_00, Tag="one"),
        platform.amounts(60_00, -7_00),
    ]
    known = await street.known(payin["Id"])
    assert (known["captured"], known["refunded"], known["external"], known["refundable"]) == (100_00, 100_00, 0, 0)
    assert await platform.balance() == before
    for refund in (part, rest):
        ours, there = (
            await platform.seen(f"refunds/{refund['Id']}"),
            await platform.seen(f"refunds/{refund['Id']}", directly=True),
        )
        assert ours == refund
        assert (list(ours), undated(ours)) == (list(there), undated(there))
    assert await platform.seen(f"refunds/{sum_above['Id']}") == sum_above
    listed = await platform.seen(f"payins/{payin['Id']}/refunds?Status=SUCCEEDED&Sort=CreationDate:ASC")
    there = await platform.seen(f"payins/{payin['Id']}/refunds", directly=True)
    assert (listed, [undated(each) for each in listed]) == ([part, rest], [undated(each) for each in there])
    whole = await platform.seen(f"payins/{payin['Id']}/refunds")
    assert {each["Id"]: each for each in whole} == {each["Id"]: each for each in (part, sum_above, rest, nothing)}
    assert [each["CreationDate"] for each in whole] == sorted(each["CreationDate"] for each in whole)


async def test_a_transfer_is_refunded_under_guard(street: Street, platform: Platform):
    await platform.pay(100_00, 0)
    till = await platform.new_wallet()
    both = {"DebitedWalletId": platform.wallet, "CreditedWalletId": till}
    transfer = await platform.made("transfers", platform.amounts(50_00, 5_00) | both)
    place = f"transfers/{transfer['Id']}"
    assert await platform.seen(place) == transfer == await platform.seen(place, directly=True)
    street.line.calls.clear()
    part = await platform.made(f"{place}/refunds", platform.amounts(15_00))
    again = await platform.made(f"{place}/refunds", platform.amounts(15_00, Tag="again"))
    assert [(each["Type"], each["InitialTransactionType"], *ending(each)) for each in (part, again)] == [
        ("TRANSFER", "TRANSFER", "SUCCEEDED", "000000", 15_00)
    ] * 2
    assert (part["DebitedWalletId"], part["CreditedWalletId"]) == (till, platform.wallet)
    rest = await platform.made(f"{place}/refunds", platform.amounts(15_00, -5_00, Tag="rest"))
    done = await platform.ask("POST", f"{place}/refunds", {"AuthorId": platform.payer})
    errors = {"TransferId": "Original transaction has already been successfully refunded"}
    assert (done.status, done.json["errors"]) == (400, errors)
    assert len(sent(street)) == 3
    assert await street.executed(transfer["Id"]) == [15_00, 15_00, 20_00]
    listed, there = await platform.seen(f"{place}/refunds"), await platform.seen(f"{place}/refunds", directly=True)
    assert listed == [part, again, rest]
    assert [undated(each) for each in listed] == [undated(each) for each in there]
    assert undated(await platform.seen(f"refunds/{rest['Id']}", directly=True)) == undated(rest)


async def test_what_is_unknown_there_is_unknown_here(platform: Platform):
    for method, path, body in (
        ("POST", "payins/1/refunds", {"AuthorId": platform.payer}),
        ("POST", "transfers/1/refunds", {"AuthorId": platform.payer}),
        ("GET", "payins/1", None),
        ("GET", "payins/1/refunds", None),
        ("GET", "refunds/1", None),
        ("GET", "payouts/1", None),
        ("GET", f"responses/{uuid4()}", None),
        ("GET", "nowhere", None),
    ):
        through, there = await platform.ask(method, path, body), await platform.ask(method, path, body, directly=True)
        assert (through.status, through.json["Type"], through.json["errors"]) == (
            there.status,
            there.json["Type"],
            there.json["errors"],
        )
        assert through.status in (400, 404)


async def test_a_call_that_is_relayed_arrives_byte_for_byte(street: Street, platform: Platform):
    body = json.dumps(PERSON | {"Tag": "é\u2603", "odd": 1.50}, indent=3)
    told = {"Content-Type": "application/json", "X-Own": "1", "User-Agent": "shop/1.0", "Idempotency-Key": f"{uuid4()}"}
    token = await street.client("POST", "/v2.01/oauth/token", {"grant_type": "client_credentials"}, form=True)
    assert (token.status, token.json["token_type"], street.line.calls) == (200, "bearer", [])
    bearer = {"Authorization": f"bearer {token.json['access_token']}"}
    path = f"//v2.01/{street.section['client_id']}/USERS/natural/?a=b%20c&d"
    said = await street.near.http.post(f"/mangopay{path}", content=body.encode(), headers=told | bearer)
    assert said.status_code == 200, said.text
    asked, call = street.line.calls
    assert (asked.path, asked.body) == ("/v2.01/oauth/token", b"grant_type=client_credentials")
    assert (call.method, call.path, call.body) == ("POST", path, body.encode())
    assert {name: call.headers[name.lower()] for name in told} == told
    assert call.headers["authorization"] != bearer["Authorization"]
    assert said.headers["x-ratelimit"]

    stored = await platform.seen(f"responses/{told['Idempotency-Key']}")
    assert (stored["StatusCode"], stored["Resource"]) == ("200", said.json())


# --- keys -------------------------------------------------------------------------------------------------------------


async def test_a_key_is_used_once_and_says_what_was_answered(street: Street, platform: Platform):
    payin, key = await platform.pay(), str(uuid4())
    told = await platform.refund(payin, platform.amounts(10_00), Idempotency_Key=key)
    again = await platform.ask("POST", f"payins/{payin['Id']}/refunds", platform.amounts(10_00), Idempotency_Key=key)
    assert (again.status, again.json["Type"]) == (409, "idempotent_creation_conflict")
    stored = await platform.seen(f"responses/{key}")
    assert (stored["StatusCode"], stored["Resource"]) == ("200", told)
    assert stored["RequestURL"].endswith(f"/payins/{payin['Id']}/refunds")
    (call,) = sent(street)
    assert call.headers["idempotency-key"] != key
    theirs = await platform.seen(f"responses/{call.headers['idempotency-key']}")
    assert theirs["Resource"]["Id"] == told["Id"]


async def test_under_a_key_an_answer_that_was_lost_is_told_as_not_ended(street: Street, platform: Platform):
    payin, key = await platform.pay(), str(uuid4())
    street.line.fate = befalls("lost after")
    told = await platform.refund(payin, platform.amounts(10_00), Idempotency_Key=key)
    assert ending(told) == ("CREATED", None, 10_00)
    assert (await platform.seen(f"responses/{key}"))["Resource"] == told
    street.line.fate = befalls("arrives")
    await street.advance(600)
    assert await street.executed(payin["Id"]) == [10_00]
    assert ending(await platform.seen(f"refunds/{told['Id']}")) == ("SUCCEEDED", "000000", 10_00)


# --- what was done without us -----------------------------------------------------------------------------------------


async def test_of_a_pay_in_that_was_refunded_before_only_the_rest_is_left(street: Street, platform: Platform):
    payin = await platform.pay(100_00, 0, directly=True)
    before = await platform.refund(payin, platform.amounts(60_00), directly=True)
    assert await street.known(payin["Id"]) is None
    too_much = await platform.refund(payin, platform.amounts(40_01))
    assert ending(too_much) == ("FAILED", "005403", 40_01)
    rest = await platform.refund(payin, platform.amounts(40_00))
    assert ending(rest) == ("SUCCEEDED", "000000", 40_00)
    known = await street.known(payin["Id"])
    assert (known["external"], known["refunded"], known["refundable"]) == (60_00, 40_00, 0)
    assert await platform.seen(f"payins/{payin['Id']}/refunds?Status=SUCCEEDED") == [before, rest]
    assert await platform.seen(f"refunds/{before['Id']}") == before
    assert await street.executed(payin["Id"]) == [60_00, 40_00]


async def test_a_refund_of_the_dashboard_is_seen_before_the_next_one_is_sent(street: Street, platform: Platform):
    """Whoever reads learns of it; who refunds without having read has one more look before anything leaves."""
    payin = await platform.pay(100_00, 0)
    await platform.refund(payin, platform.amounts(10_00))
    await platform.refund(payin, platform.amounts(50_00), directly=True)
    told = await platform.refund(payin, platform.amounts(60_00))
    assert ending(told) == ("CREATED", None, 60_00)
    await street.settle()
    assert await street.executed(payin["Id"]) == [10_00, 50_00]

    other = await platform.pay(100_00, 0)
    first = await platform.refund(other, platform.amounts(10_00))
    dashboard = await platform.refund(other, platform.amounts(50_00), directly=True)
    assert await platform.seen(f"payins/{other['Id']}/refunds") == [first, dashboard]
    assert (await street.known(other["Id"]))["external"] == 50_00
    too_much = await platform.refund(other, platform.amounts(60_00))
    assert ending(too_much) == ("FAILED", "005403", 60_00)
    assert ending(await platform.refund(other, platform.amounts(40_00)))[0] == "SUCCEEDED"
    assert await street.executed(other["Id"]) == [10_00, 50_00, 40_00]


async def test_the_events_tell_of_the_dashboard(street: Street, platform: Platform):
    payin, later = await platform.pay(100_00, 0), await platform.pay(100_00, 0)
    for each in (payin, later):
        await platform.refund(each, platform.amounts(10_00))
    await platform.refund(payin, platform.amounts(50_00), directly=True)
    await street.advance(600)
    await read_news(street.near.parts.world, street.near.parts.reads.news)
    assert (await street.known(payin["Id"]))["external"] == 50_00
    await platform.refund(later, platform.amounts(20_00), directly=True)
    await street.advance(600)
    await read_news(street.near.parts.world, street.near.parts.reads.news)
    known = [await street.known(each["Id"]) for each in (payin, later)]
    assert [(each["refunded"], each["external"], each["excess"]) for each in known] == [
        (10_00, 50_00, 0),
        (10_00, 20_00, 0),
    ]


# --- notifications ----------------------------------------------------------------------------------------------------


async def hook_of(street: Street) -> str:
    assert street.near.parts.book is not None
    return f"/_hooks/{(await street.near.parts.book.hooks(street.native.merchant))['provider']}"


async def deliver(street: Street) -> list[Due]:
    """What the client's own program is called with."""
    calls: list[Due] = []

    async def post(due: Due) -> int:
        calls.append(due)
        return 200

    parts = street.near.parts
    assert parts.deliveries is not None and parts.endpoints is not None
    await deliver_due(parts.world, parts.deliveries, parts.endpoints, post)
    return calls


async def test_a_hook_makes_us_read_and_is_called_on(street: Street, platform: Platform):
    url = "https://shop.example/hooks?own=1"
    event = "PAYIN_REFUND_SUCCEEDED"
    hook = await platform.made("hooks", {"EventType": event, "Url": url})
    assert await platform.seen("hooks") == [hook]
    assert await platform.seen("hooks", directly=True) == []
    payin = await platform.pay(100_00, 0)
    await platform.refund(payin, platform.amounts(10_00))
    street.line.fate = befalls("lost after")
    lost = await platform.refund(payin, platform.amounts(20_00))
    street.line.fate = befalls("arrives")
    (_, theirs) = await platform.seen(f"payins/{payin['Id']}/refunds", directly=True)
    dashboard = await platform.refund(payin, platform.amounts(50_00), directly=True)
    for refund in (theirs, dashboard):
        query = {"EventType": event, "RessourceId": refund["Id"], "Date": str(refund["ExecutionDate"])}
        for _ in range(2):
            heard = await street.near.http.get(await hook_of(street), params=query)
            assert (heard.status_code, heard.content) == (200, b"")
    await street.advance(600)
    await read_news(street.near.parts.world, street.near.parts.reads.news)
    known = await street.known(payin["Id"])
    assert (known["refunded"], known["external"]) == (30_00, 50_00)
    assert ending(await platform.seen(f"refunds/{lost['Id']}")) == ("SUCCEEDED", "000000", 20_00)
    told = [(theirs["Id"], theirs["ExecutionDate"]), (dashboard["Id"], dashboard["ExecutionDate"])]
    assert sorted((each.method, each.url, each.said and each.said.body) for each in await deliver(street)) == [
        ("GET", f"{url}&EventType={event}&RessourceId={number}&Date={date}", b"") for number, date in told
    ]

    # By now it is known which refund that is, and its client knows it by another id.
    query = {"EventType": event, "RessourceId": theirs["Id"], "Date": "1700000000"}
    await street.near.http.get(await hook_of(street), params=query)
    assert [each.url for each in await deliver(street)] == [
        f"{url}&EventType={event}&RessourceId={lost['Id']}&Date=1700000000"
    ]


async def test_a_hook_of_another_event_or_out_of_force_is_not_called(street: Street, platform: Platform):
    off = await platform.made("hooks", {"EventType": "PAYIN_REFUND_FAILED", "Url": "https://shop.example/off"})
    await platform.made(f"hooks/{off['Id']}", {"Status": "DISABLED"}, method="PUT")
    for event in ("PAYIN_REFUND_FAILED", "PAYIN_NORMAL_CREATED", "KYC_CREATED"):
        query = {"EventType": event, "RessourceId": f"r-{uuid4()}", "Date": "1700000000"}
        assert (await street.near.http.get(await hook_of(street), params=query)).status_code == 200
    assert await deliver(street) == []
    assert (await street.near.http.get(await hook_of(street), params={"EventType": "x"})).status_code == 400


# --- doubt ------------------------------------------------------------------------------------------------------------


async def test_an_answer_that_was_lost_is_not_ended_and_never_an_error(street: Street, platform: Platform):
    payin = await platform.pay(100_00, 10_00)
    street.line.fate = befalls("lost after")
    told = await platform.refund(payin, platform.amounts(30_00, -1_00))
    assert ending(told) == ("CREATED", None, 31_00)
    assert await platform.refund(payin, platform.amounts(30_00, -1_00)) == told
    listed = await platform.seen(f"payins/{payin['Id']}/refunds")
    assert [(each["Id"], each["Status"]) for each in listed] == [(told["Id"], "CREATED")]
    street.line.fate = befalls("arrives")
    await street.advance(600)
    assert len(sent(street)) == 1
    assert await street.executed(payin["Id"]) == [31_00]
    found = await platform.seen(f"refunds/{told['Id']}")
    assert (found["Id"], *ending(found)) == (told["Id"], "SUCCEEDED", "000000", 31_00)
    (there,) = await platform.seen(f"payins/{payin['Id']}/refunds", directly=True)
    assert there["Id"] != told["Id"]
    assert (await platform.seen(f"refunds/{there['Id']}"))["Id"] == told["Id"]
    assert [each["Id"] for each in await platform.seen(f"payins/{payin['Id']}/refunds")] == [told["Id"]]


async def test_a_call_that_was_lost_before_it_came_is_sent_again_under_its_key(street: Street, platform: Platform):
    payin = await platform.pay(100_00, 0)
    street.line.fate = befalls("lost before")
    told = await platform.refund(payin, platform.amounts(30_00))
    assert ending(told) == ("CREATED", None, 30_00)
    await street.advance(60)
    assert (sent(street), await street.executed(payin["Id"])) == ([], [])
    street.line.fate = befalls("arrives")
    await street.advance(600)
    assert await street.executed(payin["Id"]) == [30_00]
    assert ending(await platform.seen(f"refunds/{told['Id']}")) == ("SUCCEEDED", "000000", 30_00)
    assert len(sent(street)) == 1


async def test_once_its_key_may_be_forgotten_it_stays_in_doubt(street: Street, platform: Platform):
    payin = await platform.pay(100_00, 0)
    street.line.fate = lambda call: "lost before" if gives_back(call) or "/responses/" in call.path else "arrives"
    told = await platform.refund(payin, platform.amounts(30_00))
    await street.advance(23 * 3_600)
    street.line.fate = befalls("arrives")
    await street.advance(86_400)
    assert (sent(street), await street.executed(payin["Id"])) == ([], [])
    assert (await platform.seen(f"refunds/{told['Id']}"))["Status"] == "CREATED"
    assert (await street.known(payin["Id"]))["held"] == 30_00


async def test_a_pay_in_nobody_knows_is_not_refunded_while_its_provider_is_away(street: Street, platform: Platform):
    payin = await platform.pay(directly=True)
    street.line.fate = lambda call: "lost after" if call.method == "GET" else "arrives"
    refused = await platform.ask("POST", f"payins/{payin['Id']}/refunds", platform.amounts(1_00))
    assert (refused.status, refused.json["Type"], "retry-after" in refused.headers) == (
        503,
        "service_unavailable",
        True,
    )
    assert await street.known(payin["Id"]) is None


async def test_without_a_token_a_relayed_call_has_not_left(street: Street, platform: Platform):
    street.line.fate = lambda call: "lost after" if call.path.endswith("/oauth/token") else "arrives"
    asked = {"Owners": [platform.payer], "Description": "Till", "Currency": "EUR"}
    assert (await platform.ask("POST", "wallets", asked)).status == 503
    assert all(each.path.endswith("/oauth/token") for each in street.line.calls)
    street.line.fate = lambda call: "lost after" if call.path.endswith("/wallets") else "arrives"
    assert (await platform.ask("POST", "wallets", asked)).status == 504


# --- payouts ----------------------------------------------------------------------------------------------------------


async def test_a_wire_goes_back_by_payouts_under_guard(street: Street, platform: Platform):
    payin = await platform.wire(50_00)
    street.line.calls.clear()
    refused = await platform.ask("POST", f"payins/{payin['Id']}/refunds", {"AuthorId": platform.payer})
    assert (refused.status, list(refused.json["errors"])) == (400, ["PayInId"])
    asked = platform.payout(payin, 20_00, BankWireRef="ref 1", PayoutModeRequested="STANDARD", Tag="one")
    first = await platform.made("payouts/bankwire", asked)
    assert (first["Type"], first["Nature"], *ending(first)) == ("PAYOUT", "REGULAR", "SUCCEEDED", "000000", 20_00)
    assert (first["PaymentRef"], first["BankWireRef"]) == (asked["PaymentRef"], "ref 1")
    assert [json.loads(each.body) for each in sent(street)] == [asked]
    again = await platform.made("payouts/bankwire", asked)
    assert again["Id"] == first["Id"]
    too_much = await platform.made("payouts/bankwire", platform.payout(payin, 30_01))
    assert ending(too_much) == ("FAILED", "005403", 30_01)
    rest = await platform.made("payouts/bankwire", platform.payout(payin, 30_00))
    assert ending(rest) == ("SUCCEEDED", "000000", 30_00)
    assert await street.executed(payin["Id"]) == [20_00, 30_00]
    known = await street.known(payin["Id"])
    assert (known["refunded"], known["external"], known["refundable"]) == (50_00, 0, 0)
    own = DATED | {"EndToEndId"}
    for payout in (first, rest):
        ours, there = (
            await platform.seen(f"payouts/{payout['Id']}"),
            await platform.seen(f"payouts/{payout['Id']}", directly=True),
        )
        assert {name for name in ours if ours[name] != there[name]} <= own
    assert await platform.seen(f"payins/{payin['Id']}/refunds") == []


async def test_payouts_made_before_are_counted(street: Street, platform: Platform):
    payin, other = await platform.wire(50_00), await platform.wire(50_00)
    await platform.made("payouts/bankwire", platform.payout(payin, 20_00), directly=True)
    await platform.made("payouts/bankwire", platform.payout(other, 1_00), directly=True)
    await platform.made("payouts/bankwire", platform.payout(payin, 2_00) | {"PaymentRef": None}, directly=True)
    too_much = await platform.made("payouts/bankwire", platform.payout(payin, 30_01))
    assert ending(too_much) == ("FAILED", "005403", 30_01)
    rest = await platform.made("payouts/bankwire", platform.payout(payin, 30_00))
    assert ending(rest) == ("SUCCEEDED", "000000", 30_00)
    known = await street.known(payin["Id"])
    assert (known["refunded"], known["external"]) == (30_00, 20_00)
    assert await street.executed(payin["Id"]) == [20_00, 30_00]


async def test_a_payout_whose_answer_was_lost_is_found_under_its_key(street: Street, platform: Platform):
    payin = await platform.wire(50_00)
    street.line.fate = befalls("lost after")
    told = await platform.made("payouts/bankwire", platform.payout(payin, 20_00))
    assert (told["Type"], *ending(told)) == ("PAYOUT", "CREATED", None, 20_00)
    street.line.fate = befalls("arrives")
    await street.advance(600)
    assert await street.executed(payin["Id"]) == [20_00]
    assert ending(await platform.seen(f"payouts/{told['Id']}")) == ("SUCCEEDED", "000000", 20_00)


async def test_any_other_payout_is_relayed_and_a_card_is_not_paid_out(street: Street, platform: Platform):
    payin = await platform.pay(100_00, 0)
    street.line.calls.clear()
    plain = platform.payout(payin, 5_00)
    del plain["PaymentRef"]
    made = await platform.made("payouts/bankwire", plain)
    (call,) = sent(street)
    assert json.loads(call.body) == plain
    shown = await platform.seen(f"payouts/{made['Id']}")
    assert shown == await platform.seen(f"payouts/{made['Id']}", directly=True)
    street.line.calls.clear()
    refused = await platform.ask("POST", "payouts/bankwire", platform.payout(payin, 5_00))
    assert (refused.status, list(refused.json["errors"])) == (400, ["PaymentRef.ReferenceId"])
    hidden = plain | {"paymentRef": {"ReasonType": "PAYIN_REFUND", "ReferenceId": payin["Id"]}}
    assert (await platform.ask("POST", "payouts/bankwire", hidden)).status in (400, 403)
    assert sent(street) == []


# --- equal requests ---------------------------------------------------------------------------------------------------


async def test_the_same_bytes_five_times_are_one_refund(street: Street, platform: Platform):
    payin = await platform.pay(100_00, 0)
    asked = platform.amounts(10_00)
    at_once = await asyncio.gather(*(platform.refund(payin, asked) for _ in range(5)))
    later = [await platform.refund(payin, asked) for _ in range(5)]
    assert len({each["Id"] for each in (*at_once, *later)}) == 1
    assert await street.executed(payin["Id"]) == [10_00]
    tagged = await platform.refund(payin, platform.amounts(10_00, Tag="another"))
    assert ending(tagged) == ("FAILED", "005407", 10_00)


async def test_faithfully_they_are_as_many_as_came_in(street: Street, platform: Platform):
    """The provider's own behaviour, where a merchant chose it: of transfers equal amounts may go back on one day."""
    await platform.pay(100_00, 0)
    both = {"DebitedWalletId": platform.wallet, "CreditedWalletId": await platform.new_wallet()}
    transfer = await platform.made("transfers", platform.amounts(100_00) | both)
    await add_rail(street.near, street.native, "mangopay", street.section, {"duplicates": "faithful"})
    try:
        path = f"transfers/{transfer['Id']}/refunds"
        answers = [await platform.made(path, platform.amounts(30_00)) for _ in range(5)]
    finally:
        await add_rail(street.near, street.native, "mangopay", street.section, {})
    assert [ending(each)[:2] for each in answers] == [("SUCCEEDED", "000000")] * 3 + [("FAILED", "005403")] * 2
    assert len({each["Id"] for each in answers}) == 5
    assert await street.executed(transfer["Id"]) == [30_00, 30_00, 30_00]


# --- secrets ----------------------------------------------------------------------------------------------------------


async def test_neither_key_nor_card_nor_payer_is_kept(street: Street, platform: Platform, ends: tuple[str, str]):
    payin = await platform.pay()
    await platform.refund(payin, platform.amounts(10_00))
    await platform.seen(f"payins/{payin['Id']}")
    kept = await everything(ends[0])
    for secret in (street.section["api_key"], NUMBER, IBAN, PERSON["LastName"], PERSON["Email"]):
        assert str(secret) not in kept


async def test_what_stands_on_a_wallet_is_not_ours_to_book(street: Street, platform: Platform):
    await platform.refund(await platform.pay(), platform.amounts(10_00))
    assert await street.near.sql("select name from accounts where name like 'wallet/%'") == []
