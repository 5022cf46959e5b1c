"""Every link between the repository's Markdown pages leads somewhere, headings included.

A dead link is a page that promises another.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from tests.rules import tree

LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.MULTILINE | re.DOTALL)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


def dead_links(root: Path) -> Iterator[str]:
    for page in tree.files(root):
        if page.suffix == ".md":
            for target in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
                if not ELSEWHERE.match(target) and not leads_somewhere(page, unquote(target)):
                    yield f"{page.relative_to(root)}: {target}"


def leads_somewhere(page: Path, target: str) -> bool:
    path, _, heading = target.partition("#")
    goal = page.parent / path if path else page
    if not goal.exists():
        return False
    return not heading or (goal.suffix == ".md" and heading in anchors(goal))


def anchors(page: Path) -> set[str]:
    """The fragments that a page's headings answer to."""
    headings = re.findall(r"^#+ +(.*?) *#*$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).strip().replace(" ", "-") for each in headings}


def test_every_link_resolves():
    assert list(dead_links(tree.ROOT)) == []


def test_a_dead_link_is_found(tmp_path: Path):
    (tmp_path / "a.md").write_text(
        "# A page\n[self](#a-page) [b](b.md#there)\n[web](https://example.com) `[x](code.md)`\n"
    )
    (tmp_path / "b.md").write_text("# Here\n[a](a.md) [gone](gone.md)\n")
    assert list(dead_links(tmp_path)) == ["a.md: b.md#there", "b.md: gone.md"]
