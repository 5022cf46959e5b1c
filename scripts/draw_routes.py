"""Draws docs/routes.md from the dialects' own route tables, so that the page names what is served and nothing else.

With `--check` nothing is written: exits with 1 when the page is out of date.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from moneyback.dialect import Dialect, Route
from moneyback.dialects import load_dialects

PAGE = Path(__file__).parent.parent / "docs" / "routes.md"

INTRODUCTION = """\
# Every route that is served

<!-- Drawn by `make docs` from the route tables under moneyback/dialects; what is written here by hand is lost. -->

Paths follow the dialect's prefix (`/truust`, `/trustly`, …), or stand at the root of a twin's own port. The kind says
what becomes of a call when Moneyback stands [in front of the provider](firewall.md): *guarded* calls give money back
and are decided here, *owned* ones are answered here, *relayed* ones go on to the provider. A twin answers them all.
"""


def main() -> None:
    text = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        sys.exit("docs/routes.md is not what the dialects' route tables say: run `make docs`")


def page() -> str:
    """The whole page, in Markdown."""
    dialects = load_dialects().values()
    return "\n".join([INTRODUCTION, *(line for dialect in dialects for line in section(dialect))])


def section(dialect: Dialect) -> Iterator[str]:
    """One dialect's routes in the order of its table."""
    yield f"## {dialect.title}"
    yield ""
    yield f"{len(dialect.routes)} routes; [what differs from the provider](dialects/{dialect.name}.md)."
    yield ""
    yield "| method | path | kind | |"
    yield "|---|---|---|---|"
    yield from (row(route) for route in dialect.routes)
    yield ""


def row(route: Route) -> str:
    kind = f"**{route.kind}**" if route.kind == "guarded" else route.kind
    return f"| {route.method} | `{route.path}` | {kind} | {cell(route.summary)} |"


def cell(text: str) -> str:
    """A text that breaks no table."""
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    main()
