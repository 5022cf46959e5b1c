"""The simulator finds planted mistakes: a rule taken out of a copy of the package breaks a promise within few seeds."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import moneyback
from tests.simulator.mutations import MUTATIONS, Mutation

PACKAGE = Path(moneyback.__file__).parent
SEEDS_MAX = 400
"""Within these a mistake is found; most are found within ten."""


@pytest.fixture
def mutated(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with a copy of the package that has this one mistake."""
    mutation: Mutation = request.param
    shutil.copytree(PACKAGE, tmp_path / "moneyback", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "moneyback" / mutation.file
    text = file.read_text(encoding="utf-8")
    assert text.count(mutation.old) == 1, f"{mutation.file} has changed: what is replaced stands there once"
    file.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("mutated", MUTATIONS, ids=lambda each: each.name, indirect=True)
def test_a_mistake_is_found(mutated: Path):
    command = [sys.executable, "-m", "moneyback.simulator", "--seeds", str(SEEDS_MAX), "--until-violation"]
    environment = {**os.environ, "PYTHONPATH": str(mutated), "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(command, cwd=mutated, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 1, f"not found: {ran.stdout[-300:]}{ran.stderr[-2000:]}"
    *story, ending, totals = ran.stdout.splitlines()
    assert "VIOLATION" in ending and len(story) > 5, ran.stdout[-2000:]
    sys.stdout.write(f"\n{ending}\n{totals}\n")
