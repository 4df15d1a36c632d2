"""The relay that one writes in an afternoon: pynetdicom takes each object, answers, and a thread sends it on.

One association to the target is kept, and made again when it is gone. A line is printed for every object that the
target has.
"""

import argparse
import queue
import threading
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]
from tests.integration.peers import pynetdicom_pause as pynetdicom_pause

LOOPBACK: Final = "127.0.0.1"
QUIET: Final = 0.3
"""Seconds without an object after which the association to the target is released."""


class Sender:
    """Sends on what was taken, in a thread."""

    def __init__(self, target: int) -> None:
        self._target: Final = target
        self._waiting: Final[queue.Queue[Dataset]] = queue.Queue()
        self._entity: Final = AE(ae_title="RELAY")
        self._entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        threading.Thread(target=self._run, daemon=True).start()

    def take(self, event: evt.Event) -> int:
        """C-STORE handler: the object counts as stored now."""
        data_set = event.dataset
        data_set.file_meta = event.file_meta
        self._waiting.put(data_set)
        return 0x0000

    def _run(self) -> None:
        while True:
            data_set: Dataset | None = self._waiting.get()
            association = self._entity.associate(LOOPBACK, self._target, ae_title="BENCHSCP")
            while data_set is not None and association.is_established:
                if association.send_c_store(data_set).get("Status") == 0:
                    print("stored", flush=True)
                try:
                    data_set = self._waiting.get(timeout=QUIET)
                except queue.Empty:
                    data_set = None
            association.release()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("target", type=int)
    arguments = parser.parse_args()
    sender = Sender(arguments.target)
    entity = AE(ae_title="RELAY")
    for uid in (Verification, CTImageStorage):
        entity.add_supported_context(uid)
    entity.start_server((LOOPBACK, arguments.port), block=True, evt_handlers=[(evt.EVT_C_STORE, sender.take)])


if __name__ == "__main__":
    main()
