"""Purchases: what a creation is checked for, how its total is computed, and every action in every status."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moneyback.core.refund import State
from moneyback.dialects.chip.basket import line_total
from moneyback.dialects.chip.wire import unix
from tests.dialects.chip.shapes import fits
from tests.dialects.chip.shop import BRAND, CARD, REDIRECTS, Shop, code, order, without
from tests.dialects.driver import STRANGER, said

NOBODY = "00000000-0000-4000-8000-000000000000"


# --- the total -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("product", "total"),
    [
        ({"price": 100}, 100),
        ({"price": 100, "quantity": "1.555"}, 156),
        ({"price": 100, "quantity": "0.5"}, 50),
        ({"price": 100, "quantity": "1.5", "discount": 1}, 149),
        ({"price": 100, "discount": 1, "quantity": "3"}, 299),
        ({"price": 10_000, "tax_percent": "6"}, 10_600),
        ({"price": 100, "tax_percent": "1e2"}, 200),
        ({"price": 100, "discount": 10, "tax_percent": "10"}, 99),
        ({"price": 100, "quantity": "1.555", "tax_percent": "10"}, 171),
        ({"price": 100, "tax_percent": "10", "total_price_override": 2_500}, 2_500),
        ({"price": 100, "discount": 150, "quantity": 3}, 150),
        ({"price": 100, "quantity": "1.005"}, 101),
        ({"price": "100", "quantity": 2}, 200),
        ({"price": Decimal("100.0")}, 100),
    ],
)
def test_a_line_is_rounded_half_up_once(product: dict[str, Any], total: int):
    """Each of these was recorded of CHIP's sandbox, or follows from its formula."""
    assert Shop().create({"name": "Tea", **product})["purchase"]["total"] == total


@pytest.mark.parametrize(
    ("purchase", "total"),
    [
        ({}, 312),  # per line: rounded once over all it would be 311
        ({"debt": -50}, 262),
        ({"debt": 88}, 400),
        ({"total_override": 7}, 7),
        ({"total_override": 7, "debt": 5}, 7),
        ({"total": 999_999}, 312),
        ({"total_discount_override": 10, "subtotal_override": 1, "total_tax_override": 2}, 312),
    ],
)
def test_the_total_of_two_lines(purchase: dict[str, Any], total: int):
    line = {"name": "Tea", "price": 100, "quantity": "1.555"}
    made = Shop().create(line, line, purchase=purchase)
    assert made["purchase"]["total"] == total
    assert made["purchase"]["debt"] == purchase.get("debt", 0)


@given(
    price=st.integers(0, 10**9),
    quantity=st.decimals(0, 10**6, places=4),
    discount=st.integers(0, 10**9),
    tax=st.decimals(0, 100, places=2),
)
def test_a_lines_total_is_exact(price: int, quantity: Decimal, discount: int, tax: Decimal):
    found = line_total(price, quantity, discount, tax)
    net = price * quantity - discount
    if net < 0:
        assert found is None
    else:
        exact = net * (1 + tax / 100)
        assert found is not None
        assert -Decimal("0.5") < found - exact <= Decimal("0.5")


def test_how_a_product_is_shown():
    product = {"name": " Tea ", "price": 5, "quantity": " 2 ", "tax_percent": 6, "discount": 1, "category": "pots"}
    assert Shop().create(product)["purchase"]["products"] == [
        {
            "name": "Tea",
            "price": 5,
            "quantity": "2.0000",
            "discount": 1,
            "tax_percent": "6.00",
            "category": "pots",
            "total_price_override": None,
        }
    ]


# --- what a creation is checked for ----------------------------------------------------------------------------------


def product(**members: Any) -> dict[str, Any]:
    return order({"name": "Tea", "price": 10, **members})


LINE = ("purchase", "products", 0)
ASKED = {"request_client_details": ["age"]}
NOWHERE = {"email": "a@b.my", "country": "x" * 200}
CREATIONS: list[tuple[str, Any, tuple[Any, ...], str]] = [
    ("no product's name", order({"price": 1}), (*LINE, "name"), "required"),
    ("an empty name", product(name=" "), (*LINE, "name"), "blank"),
    ("a long name", product(name="x" * 257), (*LINE, "name"), "max_length"),
    ("no price", order({"name": "x"}), (*LINE, "price"), "required"),
    ("a negative price", product(price=-1), (*LINE, "price"), "min_value"),
    ("half a unit", product(price=Decimal("1.5")), (*LINE, "price"), "invalid"),
    ("a price in words", product(price="ten"), (*LINE, "price"), "invalid"),
    ("a price beyond all", product(price="9" * 30), (*LINE, "price"), "max_value"),
    ("a fine quantity", product(quantity="1.55555"), (*LINE, "quantity"), "max_decimal_places"),
    ("a negative quantity", product(quantity=-1), (*LINE, "quantity"), "min_value"),
    ("no number", product(quantity="1,5"), (*LINE, "quantity"), "invalid"),
    ("a fine tax", product(tax_percent="6.555"), (*LINE, "tax_percent"), "max_decimal_places"),
    ("a fine tax of nothing", product(tax_percent="0.000"), (*LINE, "tax_percent"), "max_decimal_places"),
    ("a long tax", product(tax_percent="6." + "5" * 30), (*LINE, "tax_percent"), "max_digits"),
    ("a very long tax", product(tax_percent="0" * 1100), (*LINE, "tax_percent"), "max_string_length"),
    ("too much tax", product(tax_percent="100.01"), (*LINE, "tax_percent"), "max_value"),
    ("a discount on the whole", product(discount=11), (*LINE, "__all__"), "product_subtotal_negative"),
    (
        "the same in spite of an override",
        product(discount=11, total_price_override=5),
        (*LINE, "__all__"),
        "product_subtotal_negative",
    ),
    ("a negative override", product(total_price_override=-100), (*LINE, "total_price_override"), "min_value"),
    ("no category", product(category=None), (*LINE, "category"), "null"),
    ("a product that is none", order("tea"), (*LINE, "__all__"), "invalid"),
    ("no products", order(purchase={"products": []}), ("purchase", "products"), "min_length"),
    ("products that are none", order(purchase={"products": {}}), ("purchase", "products"), "not_a_list"),
    ("a debt below all", order(purchase={"debt": -1001}), ("purchase", "debt"), "min_value"),
    ("a negative total", order(purchase={"total_override": -1}), ("purchase", "total_override"), "min_value"),
    ("long notes", order(purchase={"notes": "x" * 10_001}), ("purchase", "notes"), "max_length"),
    ("no such currency", order(purchase={"currency": "XXX"}), ("purchase", "currency"), "invalid_choice"),
    ("no such detail", order(purchase=ASKED), ("purchase", "request_client_details"), "invalid_choice"),
    ("metadata of another kind", order(purchase={"metadata": [1]}), ("purchase", "metadata"), "invalid"),
    ("purchase of another kind", order() | {"purchase": 7}, ("purchase",), "invalid"),
    ("no purchase", without(order(), "purchase"), ("purchase",), "required"),
    ("purchase is null", order() | {"purchase": None}, ("purchase",), "null"),
    ("no brand", without(order(), "brand_id"), ("brand_id",), "required"),
    ("a brand that is none", order(brand_id="24"), ("brand_id",), "invalid"),
    ("no e-mail address", order(client={"full_name": "A"}), ("client", "email"), "required"),
    ("an empty one", order(client={"email": ""}), ("client", "email"), "blank"),
    ("no address", order(client={"email": "somebody"}), ("client", "email"), "invalid"),
    ("a long e-mail address", order(client={"email": "a" * 250 + "@b.my"}), ("client", "email"), "max_length"),
    ("a country of garbage", order(client=NOWHERE), ("client", "country"), "invalid_choice"),
    ("a long phone", order(client={"email": "a@b.my", "phone": "1" * 33}), ("client", "phone"), "max_length"),
    ("copies to nobody", order(client={"email": "a@b.my", "cc": ["x"]}), ("client", "cc"), "invalid"),
    ("client of another kind", order(client=[]), ("client",), "invalid"),
    ("client_id that is none", order(client_id="7"), ("client_id",), "invalid"),
    ("a long reference", order(reference="x" * 129), ("reference",), "max_length"),
    ("no web address", order(success_redirect="javascript:alert(1)"), ("success_redirect",), "invalid"),
    ("quotes in an address", order(cancel_redirect="https://a.my/'>"), ("cancel_redirect",), "invalid"),
    ("a long address", order(failure_redirect="https://a.my/" + "x" * 500), ("failure_redirect",), "max_length"),
    ("a callback that is none", order(success_callback="a.my"), ("success_callback",), "invalid"),
    ("an empty whitelist", order(payment_method_whitelist=[]), ("payment_method_whitelist",), "min_length"),
    ("no such method", order(payment_method_whitelist=["card"]), ("payment_method_whitelist",), "invalid_choice"),
    (
        "a method that stands for several",
        order(payment_method_whitelist=["razer"]),
        ("payment_method_whitelist",),
        "invalid_payment_method_whitelist",
    ),
    ("no boolean", order(skip_capture="perhaps"), ("skip_capture",), "invalid"),
    ("no time", order(due="tomorrow"), ("due",), "invalid"),
    ("no date", order(issued="22.11.2026"), ("issued",), "invalid"),
    ("a long agent", order(creator_agent="x" * 33), ("creator_agent",), "max_length"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "place", "expected"), [pytest.param(*row[1:], id=row[0]) for row in CREATIONS])
def test_what_is_wrong_with_a_creation(body: Any, place: tuple[Any, ...], expected: str):
    shop = Shop()
    answer = shop.ask("POST", "/purchases/", body)
    found = fits(answer)
    for step in place:
        found = found[step]
    assert (answer.status, [each["code"] for each in found]) == (400, [expected])
    assert found[0] in fits(answer)["__all__"]
    assert not shop.table.facts.payments


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (without(order(), "client"), "purchase_client_or_id_required"),
        (order(client_id=NOBODY), "purchase_client_or_id_only"),
        (order({"name": "Tea", "price": 0}), "purchase_zero_total"),
        (order(purchase={"total_override": 0}), "purchase_zero_total"),
        (order(skip_capture=True, payment_method_whitelist=["fpx"]), "no_payment_methods_available"),
        ([1], "invalid"),
        ("text", "invalid"),
    ],
)
def test_what_is_wrong_with_a_creation_as_a_whole(body: Any, expected: str):
    shop = Shop()
    answer = shop.ask("POST", "/purchases/", body)
    assert (answer.status, code(answer)) == (400, expected)
    assert not shop.table.facts.payments


@pytest.mark.parametrize("body", [None, {}, []])
def test_an_empty_creation_lacks_a_purchase_and_a_brand(body: Any):
    found = fits(Shop().ask("POST", "/purchases/", body))
    required = [{"message": "This field is required.", "code": "required"}]
    assert found == {"purchase": required, "brand_id": required, "__all__": required * 2}


def test_errors_stand_where_their_products_do():
    fine, wrong = {"name": "Tea", "price": 1}, {"name": "Pot"}
    found = fits(Shop().ask("POST", "/purchases/", order(fine, wrong, fine, wrong)))
    assert [list(each) for each in found["purchase"]["products"]] == [[], ["price"], [], ["price"]]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.decimals(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(
    body=st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("client", "brand_id", "client_id", "due", "skip_capture", "tags", "issued"), json_values),
            "purchase": json_values
            | st.fixed_dictionaries(
                {},
                optional={
                    **dict.fromkeys(("debt", "currency", "total_override", "metadata", "notes"), json_values),
                    "products": st.lists(
                        st.dictionaries(st.sampled_from(["name", "price", "quantity", "tax_percent"]), json_values),
                        max_size=2,
                    ),
                },
            ),
            "payment_method_whitelist": json_values,
            "success_redirect": json_values,
        },
    )
)
def test_no_creation_breaks_it(body: Any):
    answer = Shop().ask("POST", "/purchases/", body, encoding="json")
    assert answer.status in (201, 400)
    fits(answer)


# --- what is made ----------------------------------------------------------------------------------------------------


def test_a_purchase_says_what_it_was_made_with():
    client = {"email": "a@example.com", "full_name": "A. Payer", "country": "Malaysia", "cc": ["b@example.com"]}
    made = Shop().create(
        client=client,
        reference="order-7",
        send_receipt=True,
        force_recurring="true",
        due=1_900_000_000,
        issued="2026-11-22",
        payment_method_whitelist=["fpx", "visa"],
        success_callback="http://127.0.0.1:8080/callback",
        creator_agent="Shop 1.0",
        platform="woocommerce",
        tags=["a"],
        surprise="ignored",
        purchase={"currency": "myr", "notes": "Thanks", "metadata": {"k": [1]}, "email_message": "Hello"},
        **REDIRECTS,
    )
    assert (made["status"], made["payment"], made["refund_availability"]) == ("created", None, "none")
    assert (made["client"]["country"], made["client"]["cc"]) == ("MY", ["b@example.com"])
    assert (made["client"]["phone"], made["client_id"]) == ("", None)
    details = made["purchase"]
    assert (details["currency"], details["notes"], details["metadata"]) == ("MYR", "Thanks", {"k": [1]})
    assert (made["reference"], made["brand_id"], made["issued"]) == ("order-7", BRAND, "2026-11-22")
    assert (made["send_receipt"], made["force_recurring"], made["due"]) == (True, True, 1_900_000_000)
    assert (made["payment_method_whitelist"], made["tags"]) == (["fpx", "visa"], ["a"])
    assert made["platform"] == "woocommerce"
    assert REDIRECTS.items() <= made.items()
    assert made["checkout_url"].endswith(f"/{made['id']}/")
    assert made["direct_post_url"] == made["checkout_url"] + "direct_post/"
    assert [each["status"] for each in made["status_history"]] == ["created"]


def test_what_is_left_out_is_unstated():
    made = Shop().create()
    assert (made["purchase"]["currency"], made["purchase"]["language"], made["platform"]) == ("MYR", "en", "api")
    assert (made["success_redirect"], made["direct_post_url"], made["due"]) == ("", None, None)
    assert made["issued"] == "2026-03-02"


def test_what_is_known_of_the_client_is_not_asked_for():
    asked = {"request_client_details": ["email", "phone", "full_name"]}
    made = Shop().create(client={"email": "a@b.my", "phone": "1"}, purchase=asked, **REDIRECTS)
    assert made["purchase"]["request_client_details"] == ["full_name"]
    assert made["direct_post_url"] is None


def test_a_client_made_before_is_copied():
    shop = Shop()
    client = fits(shop.ask("POST", "/clients/", {"email": "c@example.com", "full_name": "C"}))
    made = shop.create(client_id=client["id"], client=None)
    assert (made["client_id"], made["client"]["full_name"]) == (client["id"], "C")
    shop.ask("PATCH", f"/clients/{client['id']}/", {"full_name": "D"})
    assert shop.read(made)["client"]["full_name"] == "C"
    unknown = shop.ask("POST", "/purchases/", without(order(client_id=NOBODY), "client"))
    assert fits(unknown)["client_id"][0]["code"] == "does_not_exist"


@pytest.mark.parametrize(("ports", "status"), [(True, 201), (False, 400)])
def test_callbacks_with_a_port(ports: bool, status: int):
    body = order(success_callback="https://shop.example:8443/x", success_redirect="https://shop.example:8443/y")
    answer = Shop(callback_ports=ports).ask("POST", "/purchases/", body)
    assert answer.status == status
    if not ports:
        assert list(fits(answer)) == ["success_callback", "__all__"]


def test_an_idempotency_key_is_ignored_as_chip_ignores_it():
    shop = Shop()
    answers = [shop.ask("POST", "/purchases/", order(), headers={"idempotency-key": "k"}) for _ in range(2)]
    assert len({fits(each)["id"] for each in answers}) == 2


# --- actions ---------------------------------------------------------------------------------------------------------


def made(shop: Shop, status: str) -> dict[str, Any]:
    """A purchase in a status."""
    match status:
        case "created":
            return shop.create()
        case "viewed":
            found = shop.create()
            shop.table.call("GET", found["checkout_url"])
        case "error":
            found = shop.create()
            shop.submit(found, action="decline")
        case "overdue" | "expired":
            due = unix(shop.table.now + timedelta(hours=1))
            found = shop.create(due=due, purchase={"due_strict": status == "expired"})
            shop.table.now += timedelta(hours=2)
        case "cancelled":
            found = shop.done(shop.create(), "cancel")
        case "hold":
            found = shop.paid(skip_capture=True)
        case "preauthorized":
            found = shop.paid({"name": "Card", "price": 0}, skip_capture=True)
        case "released":
            found = shop.done(shop.paid(skip_capture=True), "release")
        case "paid":
            found = shop.paid()
        case "refunded":
            found = shop.paid()
            shop.act(found, "refund", {"amount": 1})
        case "pending_refund":
            found = shop.paid()
            shop.table.outcome = "pending"
            shop.act(found, "refund", {"amount": 1})
        case _:
            raise AssertionError(status)
    found = shop.read(found)
    assert found["status"] == status
    return found


PAYABLE = ("created", "viewed", "error", "overdue")
STATUSES = (*PAYABLE, "expired", "cancelled", "hold", "preauthorized", "released", "paid", "refunded", "pending_refund")
ACTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "cancel": (PAYABLE, "cancelled"),
    "capture": (("hold",), "paid"),
    "release": (("hold",), "released"),
    "mark_as_paid": (PAYABLE, "paid"),
    "charge": (PAYABLE, "paid"),
    "refund": (("paid", "refunded"), "refunded"),
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_in_every_status(action: str, status: str):
    shop = Shop()
    purchase = made(shop, status)
    body = {"recurring_token": shop.paid(force_recurring=True)["id"]} if action == "charge" else None
    needs, after = ACTIONS[action]
    if status in needs:
        assert shop.act(purchase, action, body).status == 200
        found = shop.read(purchase)
        assert (found["status"], found["status_history"][-1]["status"]) == (after, after)
    else:
        assert shop.refused(purchase, action, body) == f"purchase_{action}_wrong_status"


@pytest.mark.parametrize("action", [*ACTIONS, "resend_invoice", "delete_recurring_token"])
@pytest.mark.parametrize("number", [NOBODY, "x"])
def test_actions_on_what_is_not_there(action: str, number: str):
    answer = Shop().ask("POST", f"/purchases/{number}/{action}/")
    assert (answer.status, code(answer)) == (404, "not_found")


def test_the_recorded_sentence_of_a_capture():
    shop = Shop()
    answer = shop.act(shop.create(), "capture")
    assert said(answer) == {
        "__all__": [
            {
                "message": "Only Purchases with `status == hold` can be captured.",
                "code": "purchase_capture_wrong_status",
            }
        ]
    }


@pytest.mark.parametrize(
    ("amount", "expected"), [(1001, "max_value"), (0, "min_value"), (-1, "min_value"), ("x", "invalid")]
)
def test_how_much_can_be_captured(amount: Any, expected: str):
    shop = Shop()
    assert shop.refused(made(shop, "hold"), "capture", {"amount": amount}) == expected


def test_a_partial_capture_lets_the_rest_go():
    shop = Shop()
    held = made(shop, "hold")
    assert (held["payment"], held["refundable_amount"], held["transaction_data"]["payment_method"]) == (None, 0, "visa")
    found = shop.done(held, "capture", {"amount": 400})
    assert (found["purchase"]["total"], found["payment"]["amount"], found["refundable_amount"]) == (1000, 400, 400)
    assert [each["type"] for each in found["transaction_data"]["attempts"]] == ["capture", "authorize"]
    assert [each["status"] for each in found["status_history"]] == ["created", "hold", "paid"]
    assert shop.refused(found, "capture") == "purchase_capture_wrong_status"
    assert fits(shop.act(found, "refund"))["payment"]["amount"] == 400


@pytest.mark.parametrize("condition", ["authorized", "processing"])
def test_what_was_registered_natively_is_acted_on_as_well(condition: str):
    shop = Shop()
    payment = shop.table.pay(1000, "MYR", status=condition, method="visa")
    purchase = {"id": payment.dialect_id}
    if condition == "authorized":
        assert shop.done(purchase, "capture", {"amount": 300})["payment"]["amount"] == 300
        kinds = [each["type"] for each in shop.read(purchase)["transaction_data"]["attempts"]]
        assert kinds == ["capture", "authorize"]
    else:
        assert shop.done(purchase, "mark_as_paid")["payment"]["amount"] == 1000


@pytest.mark.parametrize("outcome", State)
def test_an_authorisation_that_is_let_go(outcome: State):
    shop = Shop()
    shop.table.outcome = outcome.value
    purchase = {"id": shop.table.pay(1000, "MYR", status="authorized").dialect_id}
    answer = shop.act(purchase, "release")
    now = shop.read(purchase)["status"]
    if outcome in (State.FAILED, State.CANCELED):
        assert (answer.status, code(answer), now) == (400, "purchase_release_error", "hold")
    else:
        expected = "released" if outcome is State.SUCCEEDED else "pending_release"
        assert (answer.status, fits(answer)["status"], now) == (200, expected, expected)
        assert shop.refused(purchase, "release") == "purchase_release_wrong_status"


def test_marked_as_paid():
    shop = Shop()
    purchase = shop.create()
    paid_on = unix(shop.table.now) - 86_400
    found = shop.done(purchase, "mark_as_paid", {"paid_on": paid_on})
    assert (found["marked_as_paid"], found["payment"]["paid_on"]) == (True, paid_on)
    assert (found["transaction_data"]["attempts"], found["refundable_amount"]) == ([], 1000)
    assert [each["status"] for each in found["status_history"]] == ["created", "paid"]
    later = {"paid_on": unix(shop.table.now) + 10}
    assert shop.refused(shop.create(), "mark_as_paid", later) == "max_value"


# --- saved cards -----------------------------------------------------------------------------------------------------


def test_a_saved_card_pays_another_purchase():
    shop = Shop()
    first = shop.paid(force_recurring=True)
    assert (first["is_recurring_token"], first["recurring_token"]) == (True, None)
    second = shop.done(shop.create(), "charge", {"recurring_token": first["id"].upper()})
    assert (second["status"], second["recurring_token"]) == ("paid", first["id"])
    assert second["payment"]["payment_type"] == "purchase_charge"
    [attempt] = second["transaction_data"]["attempts"]
    assert (attempt["type"], attempt["extra"]) == ("recurring_execute", first["transaction_data"]["extra"])
    held = shop.done(shop.create(skip_capture=True), "charge", {"recurring_token": first["id"]})
    assert held["status"] == "hold"
    assert shop.done(first, "delete_recurring_token")["is_recurring_token"] is False
    assert shop.refused(shop.create(), "charge", {"recurring_token": first["id"]}) == "invalid_recurring_token"


@pytest.mark.parametrize("token", [None, NOBODY, "x", 7, {"id": 1}])
def test_a_bad_token_is_said_before_the_status(token: Any):
    shop = Shop()
    for purchase in (shop.create(), shop.paid()):
        body = {} if token is None else {"recurring_token": token}
        assert shop.refused(purchase, "charge", body) == "invalid_recurring_token"


def test_a_purchase_without_a_saved_card_is_no_token():
    shop = Shop()
    assert shop.refused(shop.create(), "charge", {"recurring_token": shop.paid()["id"]}) == "invalid_recurring_token"


def test_a_saved_card_that_has_expired():
    shop = Shop()
    first = shop.create(force_recurring=True)
    shop.submit(first, **CARD | {"expires": "03/26"})
    shop.table.now += timedelta(days=60)
    second = shop.create()
    answer = shop.act(second, "charge", {"recurring_token": first["id"]})
    assert (answer.status, code(answer)) == (400, "purchase_charge_error")
    found = shop.read(second)
    assert found["status"] == "error"
    assert found["transaction_data"]["attempts"][0]["error"]["code"] == "expired_card"


def test_a_preauthorization_saves_the_card_and_moves_nothing():
    shop = Shop()
    found = made(shop, "preauthorized")
    assert (found["is_recurring_token"], found["payment"], found["purchase"]["total"]) == (True, None, 0)
    assert shop.done(shop.create(), "charge", {"recurring_token": found["id"]})["status"] == "paid"


# --- who and where ---------------------------------------------------------------------------------------------------


def test_a_strangers_purchase_is_not_there():
    shop = Shop()
    foreign = {"id": shop.table.pay(1000, "MYR", status="processing", merchant=STRANGER).dialect_id}
    for action in ("cancel", "capture", "release", "mark_as_paid", "charge", "resend_invoice"):
        assert shop.act(foreign, action).status == 404


def test_where_real_money_moves_nothing_is_made_up():
    shop = Shop(rail="chip-live")
    assert code(shop.ask("POST", "/purchases/", order())) == "purchase_create_error"
    for status, actions in (("processing", ("cancel", "mark_as_paid")), ("authorized", ("capture",))):
        payment = shop.table.pay(1000, "MYR", status=status)
        shop.table.write(payment, rail="chip-live")
        for action in actions:
            assert shop.refused({"id": payment.dialect_id}, action) == f"purchase_{action}_error"


def test_a_due_date_passes():
    shop = Shop()
    found = made(shop, "overdue")
    last = found["status_history"][-1]
    assert last == {"status": "overdue", "timestamp": found["due"]}
    assert shop.submit(found).status == 303
    assert shop.read(found)["status"] == "paid"
