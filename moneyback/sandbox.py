"""The sandbox: a demo merchant with payments of every kind in every dialect, the same again at every start.

The demo credentials stay readable in `credentials.json` beside the data, so that a second start prints the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from moneyback.core.commands import Standing
from moneyback.core.payment import Payment
from moneyback.dialect import Dialect, Presented
from moneyback.flows.add_payment import add_payment
from moneyback.flows.world import World
from moneyback.ids import new_id, new_secret
from moneyback.processes import at, write_atomically
from moneyback.settings import Settings
from moneyback.store.access import NATIVE, SCOPES, Access
from moneyback.store.documents import Documents

RAIL = "sandbox"


class Shown(msgspec.Struct):
    """One dialect's demo credentials and the payments made for it, in the order in which they are shown."""

    secret: str
    user: str | None
    profile: dict[str, Any]
    payments: list[UUID]


class Demo(msgspec.Struct):
    """What `credentials.json` holds."""

    merchant: UUID
    api_key: str
    dialects: dict[str, Shown] = {}


async def prepare_demo(world: World, access: Access, documents: Documents, directory: Path) -> Demo:
    """The demo merchant, made where it is missing: a dialect that was added later gets its payments then."""
    file = directory / "credentials.json"
    demo = _known(file)
    if demo is None or not await access.has_merchant(demo.merchant):
        demo = Demo(new_id(), f"mb_{new_secret(40)}")
        await access.add_merchant(demo.merchant, "Demo merchant")
        await access.add_credential(demo.merchant, new_id(), NATIVE, secret=demo.api_key, name="demo", scopes=SCOPES)
        _keep(file, demo)
    for name, dialect in world.dialects.items():
        if dialect.samples is not None and name not in demo.dialects:
            demo.dialects[name] = await _make(world, access, documents, demo.merchant, dialect)
            _keep(file, demo)
        elif (
            shown := demo.dialects.get(name)
        ) is not None:  # made before its secret was kept sealed, or with another key
            await access.seal(demo.merchant, name, secret=shown.secret, user=shown.user)
    return demo


async def describe(world: World, demo: Demo, settings: Settings) -> dict[str, Any]:
    """The ready file: where to reach what, with which credentials, and what there is to refund.

    A twin has its one dialect at the root of its port.
    """
    root = f"http://{at(settings.host, settings.port)}"
    sections: dict[str, Any] = {"native": {"base_url": f"{root}/v1", "api_key": demo.api_key}}
    for name, dialect in world.dialects.items():
        shown = demo.dialects.get(name)
        if dialect.samples is None or shown is None or settings.twin not in (None, name):
            continue
        base = root + ("" if settings.twin else f"/{name}") + dialect.base_path
        sections[name] = dialect.samples.section(
            base, Presented(shown.secret, shown.user), shown.profile, await _payments(world, demo.merchant, shown)
        )
    return sections


def suggestions(dialects: Mapping[str, Dialect], sections: Mapping[str, Any], payment: str | None) -> list[str]:
    """Commands ready to paste: one refund natively, and one in every dialect."""
    native = sections["native"]
    found = []
    if payment is not None:
        found.append(
            f"curl -X POST {native['base_url']}/payments/{payment}/refunds \\\n"
            f"  -H 'Authorization: Bearer {native['api_key']}' -H 'Content-Type: application/json' \\\n"
            f"""  -d '{{"amount": 1000, "reason": "requested_by_customer"}}'"""
        )
    for name, section in sections.items():
        if name in dialects and (samples := dialects[name].samples) is not None:
            found.append(samples.curl(section))
    return found


async def _make(world: World, access: Access, documents: Documents, merchant: UUID, dialect: Dialect) -> Shown:
    assert dialect.samples is not None
    presented, profile = dialect.samples.credentials(new_secret)
    await access.add_credential(
        merchant,
        new_id(),
        dialect.name,
        secret=presented.secret,
        user=presented.user,
        name="demo",
        profile=profile,
    )
    for document in dialect.samples.documents:
        await documents.save(merchant, dialect.name, document.kind, document.id, document.data)
    payments = []
    for sample in dialect.samples.payments:
        added = await add_payment(world, merchant, dialect.name, RAIL, sample)
        assert isinstance(added, Standing), added
        payments.append(added.payment.id)
    return Shown(presented.secret, presented.user, dict(profile), payments)


async def _payments(world: World, merchant: UUID, shown: Shown) -> tuple[Payment, ...]:
    found = [await world.store.payment(merchant, each) for each in shown.payments]
    return tuple(each for each in found if each is not None)


def _known(file: Path) -> Demo | None:
    return msgspec.json.decode(file.read_bytes(), type=Demo) if file.exists() else None


def _keep(file: Path, demo: Demo) -> None:
    write_atomically(file, msgspec.json.format(msgspec.json.encode(demo), indent=2).decode() + "\n")
