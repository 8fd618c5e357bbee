"""Inside a box: `python3 -m ground list`, or `python3 -m ground run FILE NAME [--long]`."""

import importlib.util
import json
import os
import pathlib
import signal
import sys
import traceback

from .scenario import ALL, Ground, Restart

SCENARIOS = pathlib.Path(__file__).parent.parent / "scenarios"


def load():
    """Reads every scenario file."""
    for file in sorted(SCENARIOS.glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"scenarios.{file.stem}", file)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def main(arguments):
    # A runner behind nohup or in the background of a shell has these ignored, and people's programs
    # would inherit that: Ctrl-C and hanging up would do nothing.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    load()
    if arguments == ["list"]:
        keys = ("file", "name", "boot", "packaged", "alone", "timeout", "rounds", "long_rounds")
        print(json.dumps([{key: getattr(one, key) for key in keys} for one in ALL]))
        return 0
    [_, file, name, *flags] = arguments
    [chosen] = [one for one in ALL if (one.file, one.name) == (file, name)]
    rounds = chosen.long_rounds if "--long" in flags else chosen.rounds
    ground = Ground(chosen.boot, rounds, int(os.environ.get("SYSBOX_BOOT", "1")))
    try:
        chosen.call(ground)
        ground.finish()
    except Restart:
        return 133  # sysbox.sh starts the machine again, and then this
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        print(ground.report())
        return 1
    # The runner believes this line, not the exit status alone: a box that never ran exits too.
    print(f"scenario {file}.{name} holds")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
