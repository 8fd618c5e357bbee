#!/usr/bin/env python3
"""Measures otpd beside what people would use instead, and prints one table. run.sh starts it.

usage: bench.py --programs DIR --gauges DIR --tools DIR --box DIR [--rounds N] [--only NAME]... [--short]
       [--json FILE] [--directory DIR]
"""

import argparse
import json
import os
import pathlib
import platform
import shutil
import signal
import sys
import tempfile
import time
import traceback

from parts.processes import run
from parts.stage import Stage, on_disk
from parts.table import render
from rows import crowd, cycles, lone, memory, million, module, postgres, ssh, start, store

HERE = pathlib.Path(__file__).resolve().parent
ALL = (cycles, memory, lone, module, ssh, start, crowd, store, postgres, million)
ROWS = {row.__name__.removeprefix("rows."): row for row in ALL}
# Only where they are named, or made short: it takes many minutes.
LONG = {"million"}


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(usage=__doc__.partition("usage: ")[2])
    for name in ("programs", "gauges", "tools", "box"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=ROWS, action="append")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--directory", type=pathlib.Path, default="/var/tmp")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds takes a number from 1")
    return options


def machine(directory):
    """What the figures are of."""
    with open("/proc/cpuinfo") as lines:
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")
    disk = run("stat", "--file-system", "--format=%T", directory).strip()
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}, {disk}, load {os.getloadavg()[0]:.1f}"


def main():
    options = arguments()
    on_disk(options.directory)
    # Whoever ends this ends what it has started, by way of each `with`.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    # In this process's own mount namespace: the accounts u0, u1, … of directory.c.
    run("mount", "--bind", HERE / "nsswitch.conf", "/etc/nsswitch.conf")
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="otpd-bench-", dir=options.directory))
    rounds = 1 if options.short else options.rounds
    stage = Stage(
        options.programs, options.gauges, options.tools, options.box, scratch, rounds, options.short
    )
    described = machine(options.directory)
    rows, raw, failed = [], {}, []
    try:
        for name in options.only or [name for name in ROWS if options.short or name not in LONG]:
            began = time.monotonic()
            print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
            try:
                found = ROWS[name].measure(stage)
            except Exception:
                traceback.print_exc()
                failed.append(name)
                continue
            rows += found
            raw[name] = [vars(row) | {"goal": row.goal and vars(row.goal)} for row in found]
            print(f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(scratch)
    print(f"{described}; {rounds} rounds\n\n{render(rows)}")
    if options.json:
        options.json.write_text(json.dumps({"machine": described, "rounds": rounds, "rows": raw}, indent=1))
    if failed:
        sys.exit(f"bench.py: could not measure: {', '.join(failed)}")


if __name__ == "__main__":
    main()
