"""Imports point down, core and dialects are pure, providers do not know each other: the contracts of pyproject.toml.

The whole design leans on this: a decision without a clock can be tested by a table, and a provider without a neighbour
can be added as one folder. There are no exceptions; what seems to need one wants to be an argument.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rules import tree

LAYERS, PURE, PROVIDERS = "Imports point down the layers", "Core and dialects are pure", "No provider knows another"

SKELETON = {
    "__init__.py": "",
    "core/__init__.py": "from datetime import datetime\n",
    "dialect.py": "import moneyback.core\n",
    "dialects/__init__.py": "import pkgutil\n",
    "dialects/one/__init__.py": "import moneyback.dialect\n",
    "dialects/two/__init__.py": "import moneyback.core\n",
    "store/__init__.py": "import asyncpg, moneyback.core\n",
    "flows/__init__.py": "import moneyback.store, moneyback.dialects\n",
}


def check(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.check_imports"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)


def test_the_contracts_hold():
    result = check(tree.ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("planted", "broken"),
    [
        ({}, None),
        ({"core/__init__.py": "import time"}, PURE),
        ({"core/__init__.py": "import moneyback.hop", "hop.py": "import socket"}, PURE),
        ({"dialects/one/__init__.py": "import asyncpg"}, PURE),
        ({"dialects/one/__init__.py": "import moneyback.store"}, PURE),
        ({"store/rows.py": "import moneyback.flows"}, LAYERS),
        ({"dialects/one/wire.py": "import moneyback.dialects.two"}, PROVIDERS),
    ],
    ids=["sound", "clock in core", "go-between", "network in a dialect", "store in a dialect", "upwards", "neighbour"],
)
def test_a_broken_contract_is_found(planted: dict[str, str], broken: str | None, tmp_path: Path):
    shutil.copytree(tree.ROOT / "scripts", tmp_path / "scripts")
    shutil.copy(tree.ROOT / "pyproject.toml", tmp_path)
    for name, text in (SKELETON | planted).items():
        path = tmp_path / "moneyback" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    report = check(tmp_path).stdout
    verdicts = {name: f"{name} BROKEN" in report for name in (LAYERS, PURE, PROVIDERS)}
    assert verdicts == {name: name == broken for name in verdicts}, report
