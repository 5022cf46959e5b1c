"""What the documentation tells its reader to run does what it says."""

import subprocess
import sys

from tests.e2e.server import ROOT, environment

PATIENCE_S = 600


def test_lost_answers_are_paid_once():
    done = subprocess.run(
        [sys.executable, "examples/lost_answers.py", "join"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(ROOT),
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("answered 200, pending_refund") == 5
    assert "CHIP has given back 20.00: one refund (duplicates: join)" in done.stdout
