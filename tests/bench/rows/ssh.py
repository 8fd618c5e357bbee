"""A login by ssh, through a real sshd on a machine of its own, against the same without a code."""

import json
import pathlib
import sys
from statistics import median, quantiles

from parts.processes import check, run
from parts.table import Goal, Row

TESTS = pathlib.Path(__file__).resolve().parents[2]
GOAL = Goal(5, 5, "{:+.2f} ms")


def measure(stage):
    """Milliseconds that the code adds to a key's login; what the person takes to type is not counted."""
    sys.path.append(str(TESTS / "e2e"))
    from run import binds

    found, _ = binds(stage.programs, stage.box)
    bind = ["-b", f"{TESTS / 'bench'}:/bench"]
    python = ["env", "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH=/ground:/usr/local/lib/otpd-tests", "python3"]
    inside = [*python, "/bench/rows/inside/ssh_logins.py", stage.rounds, stage.size(40, 5)]
    told = run(TESTS / "box" / "box.sh", stage.box, *found, *bind, "--", *inside)
    rounds = json.loads(told.splitlines()[-1])
    check(len(rounds) == stage.rounds, "not every round was done")
    this, peer = ([1e3 * one[service] for one in rounds for one in one] for service in ("code", "permit"))
    added = [1e3 * (pair["code"] - pair["permit"]) for one in rounds for pair in one]
    # A whole login takes a hundred times what is looked for: the quartiles say how sure the median is.
    low, added, high = quantiles(added, n=4)
    what = f"ssh login, key + code, over pam_permit (quartiles {low:+.0f} to {high:+.0f} ms)"
    return [Row(what, f"{median(this):.1f} ms", f"{median(peer):.1f} ms", added, GOAL, rounds)]
