"""What no file of the repository may say.

Patterns are written so that this file does not match itself. An exception is made here, by name, with its reason.
"""

import re
from pathlib import Path

import pytest

from tests.rules import tree

FORBIDDEN = {
    # Whoever installs chooses where packages come from; a host written down breaks mirrors and closed networks.
    "a package registry's host": r"pypi[.]org|python[h]osted[.]org|registry[.]npm[j]s|deb[.]debian[.]org|crates[.]io",
    # A path of one machine works on no other. Examples in documentation use relative paths.
    "a path of one machine": r"/(?:[w]ork|[r]oot|[h]ome|[U]sers|[f]arm|[t]mp)/|\.\./[s]hared\b",
    # What is not finished is not written; what should come later is an issue, not a comment.
    "unfinished work": r"\bTO[D]O\b|\bFIX[M]E\b",
}


def offences(pattern: str, root: Path = tree.ROOT) -> list[str]:
    found = re.compile(pattern)
    return [
        f"{path.relative_to(root)}:{number}: {line.strip()}"
        for path in tree.files(root)
        for number, line in tree.lines(path)
        if found.search(line)
    ]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what: str):
    assert offences(FORBIDDEN[what]) == []


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a package registry's host", "index = https://pypi" + ".org/simple"),
        ("a path of one machine", "cd /wo" + "rk/project"),
        ("a path of one machine", "DATA = '/t" + "mp/data'"),
        ("unfinished work", "# TO" + "DO: later"),
    ],
)
def test_an_offence_is_found(what: str, text: str, tmp_path: Path):
    (tmp_path / "page.md").write_text(f"fine\n{text}\n")
    assert offences(FORBIDDEN[what], tmp_path) == [f"page.md:2: {text}"]
