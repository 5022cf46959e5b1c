"""Which files belong to the checkout: all but what tools leave behind. Works without git, in a copy as in a clone."""

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def files(root: Path = ROOT) -> Iterator[Path]:
    """Every file a person wrote, generated pages included."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(each for each in folders if not left_behind(each))
        yield from (Path(folder, name) for name in sorted(names))


def left_behind(folder: str) -> bool:
    hidden = folder.startswith(".") and folder != ".ci"
    return hidden or folder in {"__pycache__", "build", "dist"} or folder.endswith(".egg-info")


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines of a text file; nothing of a binary one."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return
    yield from enumerate(text.splitlines(), start=1)
