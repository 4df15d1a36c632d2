"""A proxy that tells what it holds: `dimse-proxy run` with a signal handler of the tests' own in its process.

SIGUSR1 makes it write JSON to the file that CHAOS_WATCH names: how many tasks, sessions and connections there are.
Nothing of the proxy itself is changed. Run as `python -m tests.chaos.watched_proxy run`.
"""

import asyncio
import gc
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

WATCHED = ("TcpConnection", "NatsConnection", "Association", "MessageTracker")


def tell(number: int, frame: FrameType | None) -> None:
    """Write what there is."""
    gc.collect()
    objects = gc.get_objects()
    found = Counter(type(each).__name__ for each in objects)
    held = {name: found[name] for name in WATCHED}
    held["tasks"] = sum(isinstance(each, asyncio.Task) and not each.done() for each in objects)
    held["sessions"] = sum(type(each).__name__ == "Session" and not each.is_over for each in objects)
    path = Path(os.environ["CHAOS_WATCH"])
    path.with_suffix(".new").write_text(json.dumps(held))
    path.with_suffix(".new").rename(path)


def main() -> None:
    """Run the command with its own arguments."""
    from dimse_proxy.cli.main import run

    signal.signal(signal.SIGUSR1, tell)
    sys.argv[0] = "dimse-proxy"
    run()


if __name__ == "__main__":
    main()
