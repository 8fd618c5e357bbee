#!/usr/bin/env python3
"""Runs the end-to-end scenarios, each on a machine of its own; prints a line for each.

usage: run.py --root DIR --artifacts DIR --results DIR [--packages DIR] [--long] [--jobs N] [PART...]

The programs are those of --artifacts, but for scenarios that install the packages: those find what
packaging/build.sh made, in --packages (target/packages unless it is said). PART chooses scenarios whose FILE.NAME contains it. What a scenario printed goes to
RESULTS/FILE.NAME.log; RESULTS/counts.json says how many passed and failed. Only the standard library:
this half runs on the host.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent


def binds(artifacts, root, packages=None):
    """What each machine sees of this checkout and of the build: (with the programs, with the packages)."""
    [security] = root.glob("usr/lib/*/security")
    module = "/" + str(security.relative_to(root) / "pam_otp.so")
    checkout = [
        (HERE, "/ground"),
        (TESTS.parent / "packaging", "/packaging"),
        (TESTS.parent / "README.md", "/README.md"),
        (TESTS.parent / "otp_proto" / "src", "/varlink"),
        (artifacts / "carrier", "/usr/local/bin/carrier"),
    ]
    programs = [
        (artifacts / "otpd", "/usr/sbin/otpd"),
        (artifacts / "otpctl", "/usr/bin/otpctl"),
        (artifacts / "libpam_otp.so", module),
    ]
    # Who runs a few scenarios by hand may have no packages; the scenarios that need them then fail.
    built = [(packages, "/packages")] if packages and packages.is_dir() else []
    return existing(checkout + programs), existing(checkout + built)


def existing(pairs):
    """The options of box.sh for these."""
    found = []
    for here, there in pairs:
        if not here.exists():
            sys.exit(f"run.py: {here} is missing: build it first")
        found += ["-b", f"{here}:{there}"]
    return found


def command(options, boot, packaged, *words):
    """The command line that runs python in a new machine."""
    box = TESTS / "box" / ("sysbox.sh" if boot else "box.sh")
    python = ["env", "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH=/ground:/usr/local/lib/otpd-tests"]
    return [box, options.root, *options.binds[packaged], "--", *python, "python3", "-m", "ground", *words]


def run_one(options, one):
    """Runs a scenario; (passed, seconds)."""
    name = f"{one['file']}.{one['name']}"
    log = options.results / f"{name}.log"
    words = ["run", one["file"], one["name"], *(["--long"] if options.long else [])]
    began = time.monotonic()
    # Twice is enough for the two trials that --long waits out.
    timeout = one["timeout"] * (max(2, one["long_rounds"] // one["rounds"]) if options.long else 1)
    late = False
    with open(log, "wb") as output:
        child = subprocess.Popen(
            command(options, one["boot"], one["packaged"], *words), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            late = True
            # The machine ends with it. unshare ignores SIGTERM; sysbox.sh has to tidy up after it.
            child.terminate() if one["boot"] else child.kill()
            child.wait()
    text = log.read_text(errors="backslashreplace")
    passed = not late and child.returncode == 0 and f"scenario {name} holds" in text
    seconds = time.monotonic() - began
    with options.lock:
        print(f"{'PASS' if passed else 'FAIL'} {name} {seconds:.1f}s", flush=True)
        if not passed:
            reason = f"no end within {timeout} s\n" if late else ""
            print("".join(f"    {line}\n" for line in (reason + text).splitlines()), flush=True)
    return passed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=pathlib.Path, required=True)
    parser.add_argument("--artifacts", type=pathlib.Path, required=True)
    parser.add_argument("--results", type=pathlib.Path, required=True)
    parser.add_argument("--packages", type=pathlib.Path)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--jobs", type=int, default=2 * (os.cpu_count() or 1))
    parser.add_argument("part", nargs="*")
    options = parser.parse_args()
    options.lock = threading.Lock()
    options.packages = options.packages or options.artifacts.parent / "packages"
    options.binds = binds(options.artifacts, options.root, options.packages)
    shutil.rmtree(options.results, ignore_errors=True)
    options.results.mkdir(parents=True)

    listed = subprocess.run(command(options, False, False, "list"), stdout=subprocess.PIPE, check=True)
    chosen = [
        one
        for one in json.loads(listed.stdout)
        if not options.part or any(part in f"{one['file']}.{one['name']}" for part in options.part)
    ]
    many = [one for one in chosen if not one["alone"]]
    single = [one for one in chosen if one["alone"]]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        outcomes = list(pool.map(lambda one: run_one(options, one), many))
    outcomes += [run_one(options, one) for one in single]

    counts = {"passed": outcomes.count(True), "failed": outcomes.count(False)}
    (options.results / "counts.json").write_text(json.dumps(counts))
    print(f"end to end: {counts['passed']} passed, {counts['failed']} failed")
    return 0 if chosen and not counts["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
