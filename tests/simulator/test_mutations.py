"""The simulator finds planted mistakes: a rule taken out of a copy of the package breaks a promise within few seeds."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import moneyback
from moneyback.simulator.campaign import cores
from moneyback.simulator.providers import MODELS
from tests.simulator.mutations import MUTATIONS, Mutation

Found = subprocess.CompletedProcess[str]
PACKAGE = Path(moneyback.__file__).parent
SEEDS_MAX = 400
"""Within these a mistake is found; most are found within ten."""


@pytest.fixture(scope="module")
def found(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Mutation], Found]]:
    """What the simulator says of each mutation that is asked about, as many at a time as there are cores."""
    params = (getattr(each, "callspec", None) for each in request.session.items)
    asked = {each.params["mutation"] for each in params if each is not None and "mutation" in each.params}
    wanted = [each for each in MUTATIONS if each in asked]
    with ThreadPoolExecutor(cores()) as pool:
        running = {each.name: pool.submit(_simulated, each, tmp_path_factory.mktemp("mutated")) for each in wanted}
        yield lambda mutation: running[mutation.name].result()
        for each in running.values():
            each.cancel()


def _simulated(mutation: Mutation, folder: Path) -> Found:
    """Play seeds on a copy of the package that has this one mistake."""
    shutil.copytree(PACKAGE, folder / "moneyback", ignore=shutil.ignore_patterns("__pycache__"))
    place = folder / "moneyback" / mutation.file
    texts = {file: file.read_text(encoding="utf-8") for file in (place.glob("*.py") if place.is_dir() else [place])}
    times = sum(text.count(mutation.old) for text in texts.values())
    assert times == 1, f"{mutation.file} has changed: what is replaced stands there once, and not {times} times"
    for file, text in texts.items():
        file.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    only = ["--provider", mutation.provider] if mutation.provider else []
    command = [sys.executable, "-m", "moneyback.simulator", "--seeds", str(SEEDS_MAX), "--until-violation", *only]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name)
def test_a_mistake_is_found(mutation: Mutation, found: Callable[[Mutation], Found]):
    ran = found(mutation)
    assert ran.returncode == 1, f"not found: {ran.stdout[-300:]}{ran.stderr[-2000:]}"
    *story, ending, totals = ran.stdout.splitlines()
    assert "VIOLATION" in ending and len(story) > 5, ran.stdout[-2000:]
    sys.stdout.write(f"\n{ending}\n{totals}\n")


def test_there_are_enough_of_them_everywhere():
    assert len(MUTATIONS) >= 20 and len({each.name for each in MUTATIONS}) == len(MUTATIONS)
    folders = {each.file.split("/")[0] for each in MUTATIONS}
    assert folders == {"core", "flows", "store", "bank", "dialects"}
    assert {each.provider for each in MUTATIONS} == {None, *MODELS}
