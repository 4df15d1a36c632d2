"""Which work loads there are, by name and in order."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.crowd import Crowd
from bench.links import Links
from bench.messages import Messages
from bench.queues import Queues
from bench.scale import Scale
from bench.storage import Storage
from bench.ways import Ways
from bench.workload import Workload


def plan(ways: Ways, folder: Path, scale: Scale) -> dict[str, Callable[[], Workload]]:
    """Every work load; making one starts what it needs.

    Args:
        ways: where associations go through.
        folder: for objects and logs.
        scale: how much.
    """
    storage, messages, crowd = Storage(ways, folder, scale), Messages(ways, folder, scale), Crowd(ways, folder, scale)
    made: dict[str, Callable[[], Workload]] = {
        "ct": storage.series,
        "as-shipped": storage.series_as_shipped,
        "small": storage.small,
        "large": storage.large,
        "echo": messages.echo,
        "association": messages.association,
        "find": messages.find,
        "pynetdicom-find": messages.find_pynetdicom,
    }
    for count in scale.at_once:
        made[f"at-once-{count}"] = partial(crowd.at_once, count)
    queues = Queues(ways, folder, scale)
    made["accept"] = queues.accept
    made |= {"idle": crowd.idle, "memory": crowd.memory}
    for milliseconds in scale.links:
        links = Links(ways, folder, scale, milliseconds)
        made |= {
            f"link-{milliseconds}": links.series,
            f"link-{milliseconds}-small": links.small,
            f"link-{milliseconds}-large": links.large,
            f"link-{milliseconds}-messages": links.messages,
            f"queue-link-{milliseconds}": partial(queues.series_over_link, milliseconds),
            f"queue-link-{milliseconds}-small": partial(queues.small_over_link, milliseconds),
        }
    return made
