"""`python -m moneyback.simulator`: play seeds, or one seed with its story. Exit status 1: a promise was broken.

The same as `moneyback simulate` without what a person wants to look at; programs and mutated copies are run by this.
"""

from __future__ import annotations

import argparse
import sys

from moneyback.simulator.campaign import simulate, told
from moneyback.simulator.providers import MODELS
from moneyback.simulator.run import run


def main(arguments: list[str] | None = None) -> int:
    """Run the simulator from a command line."""
    parser = argparse.ArgumentParser(prog="python -m moneyback.simulator", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds to play (default 100)")
    parser.add_argument("--first", type=int, default=1, help="the first of them (default 1)")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes play them (default 1)")
    parser.add_argument("--until-violation", action="store_true", help="stop at the first broken promise")
    parser.add_argument("--provider", action="append", choices=sorted(MODELS), help="only these; repeat")
    parser.add_argument("--seed", type=int, help="play this one seed alone")
    parser.add_argument("--story", action="store_true", help="with --seed: tell its story even if all went well")
    asked = parser.parse_args(arguments)
    if asked.seed is None:
        how = {"jobs": asked.jobs, "until_violation": asked.until_violation, "providers": asked.provider}
        return 0 if simulate(asked.first, asked.seeds, sys.stdout.write, **how) else 1
    outcome = run(asked.seed, with_story=asked.story, providers=asked.provider)
    sys.stdout.write(told(outcome))
    return 0 if outcome.ok else 1


if __name__ == "__main__":
    raise SystemExit(main())
