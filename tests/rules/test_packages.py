"""Every folder of the package that holds code is a package of its own.

Providers are found by listing the packages beneath `moneyback/dialects`; a folder without `__init__.py` would be
skipped there without a word, and its provider would silently not exist.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rules import tree


def folders_not_packages(package: Path) -> Iterator[str]:
    for folder in sorted({path.parent for path in tree.files(package)}):
        is_dialect = folder.parent.name == "dialects"
        if (is_dialect or any(folder.glob("*.py"))) and not (folder / "__init__.py").exists():
            yield str(folder.relative_to(package))


def test_no_folder_is_skipped():
    assert list(folders_not_packages(tree.ROOT / "moneyback")) == []


@pytest.mark.parametrize("left", ["dialects/acme/wire.py", "dialects/acme/notes.txt", "store/rows.py"])
def test_a_folder_that_would_be_skipped_is_found(left: str, tmp_path: Path):
    path = tmp_path / left
    path.parent.mkdir(parents=True)
    path.touch()
    assert list(folders_not_packages(tmp_path)) == [str(Path(left).parent)]
