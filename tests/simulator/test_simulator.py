"""Seeds keep every promise, a seed replays byte for byte, and the seeds reach what they are meant to try."""

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
from typer.testing import CliRunner

from moneyback.cli import app
from moneyback.core.refund import State
from moneyback.simulator import campaign
from moneyback.simulator.__main__ import main
from moneyback.simulator.faults import CALM, Faults, draw_faults
from moneyback.simulator.invariants import Violation
from moneyback.simulator.providers import MODELS
from moneyback.simulator.run import Outcome, run
from moneyback.simulator.story import Story
from moneyback.simulator.world import Simulation

ROOT = Path(__file__).parents[2]
SEEDS = 10_000 if os.environ.get("MONEYBACK_SOAK") else 500
REPLAYED = 20
NEVER_REACHED = {State.AWAITING_APPROVAL}  # no policy asks for a second person yet
WHAT_BEFALLS = {
    *("crashes", "pauses", "wakes", "database stops", "database breaks off", "clock leaps", "dashboard refund"),
    *(
        "provider takes",
        "notification",
        "forged notification",
        "acknowledged",
        "refused",
        "person says",
        "case",
        "record_waits",
        "pre_read_failed",
    ),
}


@pytest.fixture(scope="module")
def stories() -> list[Outcome]:
    """Some seeds with their stories, which are the slower half of a run."""
    return [run(seed, with_story=True) for seed in range(1, 41)]


def test_seeds_keep_every_promise(capsys: pytest.CaptureFixture[str]):
    written: list[str] = []
    kept = campaign.simulate(1, SEEDS, written.append, jobs=min(2, campaign.cores()))
    with capsys.disabled():
        sys.stdout.write(f"\n{written[-1]}")
    assert kept, "".join(written)


def test_the_seeds_reach_what_they_are_meant_to_try(stories: list[Outcome]):
    told = Counter(line[24:54].strip() for each in stories for line in each.story.splitlines())
    assert WHAT_BEFALLS - {*told} == set()
    text = "".join(each.story for each in stories)
    missing = {each for each in State if f"→{each.value} " not in text}
    assert missing == NEVER_REACHED
    for word in ("lost/answer", "lost/lease", "send_failed/answer", "not_taken/answer", "key_unknown/look"):
        assert word in text
    for word in ("executed/answer", "executed/look", "executed/notification", "executed/person", "not_sent/person"):
        assert word in text
    assert sum(each.refunds for each in stories) > 6 * len(stories)


def test_every_provider_is_met(stories: list[Outcome]):
    text = "".join(each.story for each in stories)
    assert {name for name in MODELS if f"rail={name} " not in text} == set()


def test_a_seed_is_one_history_whatever_the_hashes_are(stories: list[Outcome]):
    seeds = [each.seed for each in stories[:REPLAYED]]
    with ThreadPoolExecutor(2) as pool:
        told = [*pool.map(partial(_told_apart, seeds), ("0", "4711"))]
    assert told[0] == told[1]
    assert told[0] == "".join(each.story for each in stories[:REPLAYED])


REPLAY = """
import sys
from moneyback.simulator.run import run
sys.stdout.write("".join(run(int(seed), with_story=True).story for seed in sys.argv[1:]))
"""


def _told_apart(seeds: list[int], hashing: str) -> str:
    command = [sys.executable, "-c", REPLAY, *map(str, seeds)]
    environment = {**os.environ, "PYTHONHASHSEED": hashing}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


def test_which_process_plays_a_seed_makes_no_difference():
    alone = [outcome for outcome, _ in campaign.campaign(1, 10)]
    together = [outcome for outcome, _ in campaign.campaign(1, 10, jobs=2)]
    assert together == alone


def test_a_campaign_stops_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch):
    broken = Outcome(seed=3, ok=False, refunds=1, steps=2, virtual_s=3.0, violation="R1 is lost", story="")
    monkeypatch.setattr(campaign, "run", lambda seed, **_how: broken if seed == 3 else run(seed))
    assert [outcome.seed for outcome, _ in campaign.campaign(1, 9, until_violation=True)] == [1, 2, 3]


def test_a_provider_can_be_had_alone():
    outcome = run(5, with_story=True, providers=["maverick"])
    assert outcome.ok and "rail=maverick " in outcome.story and "rail=sandbox" not in outcome.story


def test_two_seeds_are_two_histories(stories: list[Outcome]):
    assert len({each.story for each in stories}) == len(stories)


def test_a_broken_promise_is_told_with_its_story(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The watch's own word ends the run at that step, and what was broken is the last line of the timeline."""
    sim = Simulation(1, 100_000)

    async def breaks() -> None:
        sim.story.tell("about to break")
        sim.watch.acknowledged[sim.new_id()] = sim.new_id()
        sim.watch.check_rest([])

    with pytest.raises(Violation, match="R1 was acknowledged and is lost"):
        sim.loop.run_until_complete(breaks())
    sim.loop.close()
    assert "about to break" in sim.story.text()
    outcome = Outcome(
        seed=7, ok=False, refunds=1, steps=2, virtual_s=3.0, violation="R1 is lost", story=sim.story.text()
    )
    monkeypatch.setattr(campaign, "run", lambda _seed, **_how: outcome)
    assert main(["--seeds", "3", "--until-violation"]) == 1
    printed = capsys.readouterr().out
    assert printed.count("about to break") == 1 and "seed 7: VIOLATION: R1 is lost" in printed
    assert printed.splitlines()[-1].startswith("1 seeds, 1 refunds") and printed.endswith("1 violations\n")
    assert main(["--seeds", "3"]) == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith("3 violations")


def test_what_a_check_finds_ends_the_run_whatever_the_code_under_test_does_about_it():
    sim = Simulation(1, 100_000)

    async def deaf() -> None:
        try:
            sim.watch.denied(sim.new_id())
            sim.watch.named("key", sim.new_id())
            sim.watch.named("key", sim.new_id())
        except Exception:  # what is reported is not raised
            raise AssertionError from None
        await sim.loop.hang()

    with pytest.raises(BaseExceptionGroup) as group:
        sim.loop.run_until_complete(deaf())
    assert [type(each) for each in group.value.exceptions] == [Violation]
    sim.loop.close()


def test_a_run_that_would_not_end_is_a_violation(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("moneyback.simulator.run.STEP_LIMIT", 100)
    outcome = run(1)
    assert not outcome.ok and outcome.violation == "main has not ended after 100 steps"


def test_stories_name_what_they_tell_of():
    moments = iter((0.5, 1.25))
    story = Story(lambda: next(moments), lambda: "server1.1")
    one, other = UUID(int=1), UUID(int=2)
    assert (story.name("R", one), story.name("P", other), story.name("R", one)) == ("R1", "P1", "R1")
    story.tell("writes", call=f"mb_{one.hex}", payment=other)
    story.tell("starts")
    assert story.text() == (
        "    0.500000  server1.1   writes                        call=mb_R1 payment=P1\n"
        "    1.250000  server1.1   starts\n"
    )


def test_seeds_draw_different_mixtures_of_faults():
    drawn = [draw_faults(Random(seed)) for seed in range(100)]
    assert len({*drawn}) == 100 and Faults() == CALM
    for name in Faults.__struct_fields__:
        values = {getattr(each, name) for each in drawn}
        assert getattr(CALM, name) in values and len(values) > 2, name


@pytest.mark.parametrize("words", [["--seed", "2", "--story"], ["--seed", "2", "--story", "--json"]])
def test_the_command_tells_a_seed(words: list[str]):
    told = CliRunner().invoke(app, ["simulate", *words])
    assert told.exit_code == 0, told.output
    story = json.loads(told.stdout)["story"] if "--json" in words else told.stdout
    assert run(2, with_story=True).story in story


def test_the_command_counts_seeds(monkeypatch: pytest.MonkeyPatch):
    told = CliRunner().invoke(app, ["simulate", "--seeds", "3", "--from", "4", "--jobs", "1", "--json"])
    counted = json.loads(told.stdout)
    assert told.exit_code == 0 and counted["seeds"] == 3 and counted["violations"] == [] and counted["seeds_per_s"] > 0
    broken = Outcome(seed=4, ok=False, refunds=1, steps=2, virtual_s=3.0, violation="R1 is lost", story="how\n")
    monkeypatch.setattr(campaign, "run", lambda _seed, **_how: broken)
    told = CliRunner().invoke(app, ["simulate", "--seeds", "1", "--jobs", "1"])
    assert told.exit_code == 1 and "how\n" in told.stdout and "seed 4: VIOLATION: R1 is lost" in told.stdout


def test_the_command_knows_who_can_be_simulated():
    told = CliRunner().invoke(app, ["simulate", "--provider", "nobody"])
    assert told.exit_code == 1 and "There are: chip, mangopay, maverick, trustly, truust" in told.output
