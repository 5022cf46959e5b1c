"""The pay page as HTML: plain forms that work without scripts, by keyboard, on a phone, dark and light."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape
from typing import Any, Final

from moneyback.core.money import currency, to_decimal
from moneyback.core.payment import Payment
from moneyback.dialect import Outgoing
from moneyback.dialects.chip.document import detail
from moneyback.dialects.chip.methods import CARDS, NAMES
from moneyback.dialects.chip.objects import total

_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1c2024;--soft:#60646c;--paper:#fff;--back:#f2f3f5;--line:#d5d8dc;--go:#0b6e4f;
--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#edeef0;--soft:#b0b4ba;--paper:#1d2024;--back:#111316;--line:#3a3f45;
--go:#1d7f5e;--bad:#ff8f87}}
*{box-sizing:border-box}
body{margin:0;padding:1rem;background:var(--back);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
main{max-width:28rem;margin:0 auto;padding:1.25rem;background:var(--paper);border:1px solid var(--line);
border-radius:.75rem}
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1rem;margin:1.5rem 0 .5rem}
p{margin:.5rem 0}small,.soft{color:var(--soft)}
ul{list-style:none;margin:.5rem 0;padding:0}li{display:flex;justify-content:space-between;gap:1rem;padding:.25rem 0}
label{display:block;padding:.35rem 0}
input:not([type=radio]):not([type=checkbox]){width:100%;padding:.6rem;border:1px solid var(--line);
border-radius:.5rem;background:var(--back);color:inherit;font:inherit}
button,a.button{display:block;width:100%;margin:.6rem 0 0;padding:.75rem;border:1px solid var(--line);
border-radius:.5rem;background:transparent;color:inherit;font:inherit;text-align:center;text-decoration:none;
cursor:pointer}
button.go{background:var(--go);border-color:var(--go);color:#fff;font-weight:600}
:focus-visible{outline:3px solid var(--go);outline-offset:2px}
.bad{color:var(--bad);font-weight:600}
"""
_STYLE_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
# No form-action: browsers apply it to where an answer leads on to, and that is the shop's own site.
_POLICY: Final = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'"


def pay_page(
    payment: Payment, ways: Sequence[str], *, action: str, preferred: str = "", failed: str = "", leave: str = ""
) -> Outgoing:
    """Where one Purchase is paid: a way to pay without a card, a card, a way out."""
    plain = [each for each in ways if each not in CARDS]
    parts = [_heading(payment), _products(payment)]
    if failed:
        parts.append(f'<p class="bad" role="alert">The payment failed: {escape(failed)}</p>')
    if plain:
        parts.append(_plain_form(plain, preferred, action))
    if len(plain) < len(ways):
        parts.append(_card_form(action))
    parts.append(_leave_form(leave, action))
    return _page(f"Pay {amount_of(payment)}", "".join(parts))


def bank_page(payment: Payment, action: str, carried: Mapping[str, str]) -> Outgoing:
    """What a card's bank asks its holder (3-D Secure): whether it is they who pay."""
    hidden = "".join(f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in carried.items())
    body = f"""{_heading(payment)}<p>This card's bank asks whether it is you who pays.</p>
{_form(action)}{hidden}
<button class="go" name="action" value="pay">It is me</button>
<button name="action" value="decline">It is not me</button></form>"""
    return _page("Confirm the payment", body)


def told_page(payment: Payment, sentence: str) -> Outgoing:
    """A Purchase there is nothing to pay of: paid, cancelled, expired."""
    return _page(sentence, f"{_heading(payment)}<p>{escape(sentence)}</p>{_products(payment)}")


def nowhere() -> Outgoing:
    """No such Purchase."""
    return _page("Not found", "<h1>Not found</h1><p>There is nothing to pay at this address.</p>", 404)


def amount_of(payment: Payment) -> str:
    """What is to be paid, as people write it."""
    return _money(total(payment), payment.currency)


def _money(minor: int, code: str) -> str:
    return f"{code} {to_decimal(minor, currency(code))}"


def _heading(payment: Payment) -> str:
    reference = escape(str(payment.document.get("reference") or payment.order or ""))
    told = f'<p class="soft">{reference}</p>' if reference else ""
    return f"<h1>{amount_of(payment)}</h1>{told}<p><small>Sandbox: no real money moves.</small></p>"


def _products(payment: Payment) -> str:
    products: Sequence[Mapping[str, Any]] = detail(payment, "products", ())
    lines = (
        f"<li><span>{escape(each['name'])} <small>× {escape(_trimmed(each['quantity']))}</small></span>"
        f"<span>{_money(each['price'], payment.currency)}</span></li>"
        for each in products
    )
    notes = str(detail(payment, "notes", ""))
    return f"<ul>{''.join(lines)}</ul>" + (f"<p>{escape(notes)}</p>" if notes else "")


def _trimmed(quantity: str) -> str:
    return quantity.rstrip("0").rstrip(".") or "0"


def _plain_form(ways: Sequence[str], preferred: str, action: str) -> str:
    chosen = preferred if preferred in ways else ways[0]
    choices = "".join(
        f'<label><input type="radio" name="payment_method" value="{each}"{" checked" if each == chosen else ""}> '
        f"{escape(NAMES[each])}</label>"
        for each in ways
    )
    return f"""<h2>Bank or wallet</h2>{_form(action)}{choices}
<button class="go" name="action" value="pay">Pay</button>
<button name="action" value="decline">Let it fail</button></form>"""


def _form(action: str) -> str:
    return f'<form method="post" action="{escape(action)}">'


def _card_form(action: str) -> str:
    return f"""<h2>Card</h2>{_form(action)}<input type="hidden" name="payment_method" value="card">
<label>Name on the card <input name="cardholder_name" value="Test Payer" maxlength="30" autocomplete="cc-name"></label>
<label>Number <input name="card_number" value="4444 3333 2222 1111" inputmode="numeric" autocomplete="off"></label>
<label>Expires (MM/YY) <input name="expires" value="12/49" maxlength="5" autocomplete="cc-exp"></label>
<label>CVC <input name="cvc" value="123" maxlength="4" inputmode="numeric" autocomplete="off"></label>
<label><input type="checkbox" name="remember_card" value="on"> Remember this card</label>
<button class="go" name="action" value="pay">Pay by card</button>
<button name="action" value="decline">Let it fail</button></form>
<p><small>5555 5555 5555 4444 asks its bank first. Another CVC, or a date that has passed, fails.</small></p>"""


def _leave_form(leave: str, action: str) -> str:
    if leave:
        return f'<a class="button" rel="noreferrer" href="{escape(leave)}">Return to seller</a>'
    return f'{_form(action)}<button name="action" value="leave">Leave without paying</button></form>'


def _page(title: str, body: str, status: int = 200) -> Outgoing:
    text = f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">
<style>{_STYLE}</style></head><body><main>{body}</main></body></html>"""
    headers = {
        "Content-Security-Policy": _POLICY,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Outgoing(status=status, body=text.encode(), headers=headers, media_type="text/html; charset=utf-8")
