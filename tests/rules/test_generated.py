"""Pages that are drawn say what the code says: all of it."""

import re

import pytest

from moneyback.core.refund import Event, Fork, Move, Rest, State
from moneyback.dialects import load_dialects
from scripts import draw_routes
from scripts.draw_states import PAGE, consequence, page, section


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


@pytest.mark.parametrize("state", State, ids=lambda state: state.value)
def test_every_event_is_named_once_under_every_state(state: State):
    text = "\n".join(section(state))
    in_the_table = re.findall(r"^\| (\w+) \| (?:→|review|case)", text, re.MULTILINE)
    ignored = re.findall(r"\w+", text.partition("\nIgnored: ")[2])
    assert sorted(in_the_table + ignored) == sorted(event.value for event in Event)


def test_a_cell_is_said_in_words():
    assert consequence(Move(State.READY)) == "→ [ready](#ready)"
    fork = Fork(State.READY, "dated", State.SCHEDULED)
    assert consequence(fork) == "→ [scheduled](#scheduled) if dated, else → [ready](#ready)"
    assert consequence(Fork(State.CANCELED, "armed", Rest.IGNORE)) == "→ [canceled](#canceled) unless armed"
    assert consequence(Rest.CASE) == "case"


def test_every_route_is_on_its_page():
    text = draw_routes.PAGE.read_text(encoding="utf-8")
    assert text == draw_routes.page(), "run `make docs`"
    for dialect in load_dialects().values():
        for route in dialect.routes:
            assert f"| {route.method} | `{route.path}` | " in text
