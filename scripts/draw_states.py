"""Draws docs/states.md from the table of legal moves, so that the page cannot say anything else than the code does.

With `--check` nothing is written: exits with 1 when the page is out of date.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from moneyback.core.refund import ENDED, HOLDING, TRANSITIONS, Cell, Event, Fork, Move, Rest, State

PAGE = Path(__file__).parent.parent / "docs" / "states.md"

INTRODUCTION = """\
# States of a refund

<!-- Drawn by `make docs` from moneyback/core/refund.py; what is written here by hand is lost. -->

A refund is in exactly one state. What happens to it is an *event*. The table in `moneyback/core/refund.py` says for
every state and every event what follows, and this page is that table. Each move is committed together with its
evidence, its ledger movement and an entry in the event log.

Beside a move, an event can end in three ways:

- **ignored**: kept as evidence, changes nothing;
- **review**: it contradicts what is recorded, so the refund goes to `needs_review` and waits for a person;
- **case**: it contradicts a refund that has ended, so a case is opened on its payment, and nothing more is sent for
  that payment until a person has closed it.

Some moves depend on the refund: *dated* means that it is to be sent at a later time, *untaken* that the provider has
given it no reference yet, *known there* that the provider has shown it or that it had ended before, *armed* that an
attempt was written down. The picture shows the moves; review and case are in the lists below it.
"""


def main() -> None:
    text = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        sys.exit("docs/states.md is not what moneyback/core/refund.py says: run `make docs`")


def page() -> str:
    """The whole page, in Markdown."""
    return "\n".join([INTRODUCTION, *picture(), *(line for state in State for line in section(state))])


def picture() -> Iterator[str]:
    """A Mermaid diagram with one arrow for each pair of states between which there is a move."""
    arrows: dict[tuple[State, State], list[Event]] = {}
    for state, row in TRANSITIONS.items():
        for event, cell in row.items():
            for goal in goals(cell):
                arrows.setdefault((state, goal), []).append(event)
    yield "```mermaid\nstateDiagram-v2"
    for (start, goal), events in arrows.items():
        yield f"    {start.value} --> {goal.value}: {', '.join(event.value for event in events)}"
    yield "```\n"


def goals(cell: Cell) -> tuple[State, ...]:
    """The states to which a cell can lead by a move."""
    match cell:
        case Move(to):
            return (to,)
        case Fork(to, _, otherwise):
            return (to, otherwise) if isinstance(otherwise, State) else (to,)
        case Rest():
            return ()


def section(state: State) -> Iterator[str]:
    """What every event does to a refund in `state`."""
    row = TRANSITIONS[state]
    yield f"## {state.value}\n\n{standing(state)}\n\n| event | what follows |\n|---|---|"
    for event, cell in row.items():
        if cell is not Rest.IGNORE:
            yield f"| {event.value} | {consequence(cell)} |"
    yield f"\nIgnored: {', '.join(ignored(row))}.\n"


def standing(state: State) -> str:
    """Whether the refund has ended, and whether its amount is reserved."""
    held = "its amount is held" if state in HOLDING else "nothing is held"
    return f"{'Ended' if state in ENDED else 'Not ended'}; {held}."


def consequence(cell: Cell) -> str:
    """A cell that changes something, in words."""
    match cell:
        case Move(to):
            return f"→ {link(to)}"
        case Fork(to, when, State() as otherwise):
            return f"→ {link(otherwise)} if {when}, else → {link(to)}"
        case Fork(to, when, _):
            return f"→ {link(to)} unless {when}"
        case Rest():
            return cell.value


def link(state: State) -> str:
    return f"[{state.value}](#{state.value})"


def ignored(row: Mapping[Event, Cell]) -> Iterable[str]:
    return (event.value for event, cell in row.items() if cell is Rest.IGNORE)


if __name__ == "__main__":
    main()
