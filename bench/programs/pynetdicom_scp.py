"""pynetdicom as a storage and query SCP: it answers at once and keeps nothing."""

import argparse
from collections.abc import Iterator
from typing import Any, Final

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)
from tests.integration.peers import pynetdicom_pause as pynetdicom_pause

LOOPBACK: Final = "127.0.0.1"
PENDING: Final = 0xFF00


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--found", type=int, default=0, help="pending responses to a C-FIND")
    arguments = parser.parse_args()

    def find(_event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        for number in range(arguments.found):
            answer = Dataset()
            answer.PatientName = f"Bench^{number:06}"
            answer.PatientID = f"B{number:09}"
            answer.StudyInstanceUID = f"1.2.826.0.1.3680043.10.1553.3.{number:08}"
            yield PENDING, answer

    entity = AE(ae_title="BENCHSCP")
    for uid in (Verification, CTImageStorage, StudyRootQueryRetrieveInformationModelFind):
        entity.add_supported_context(uid)
    handlers: list[Any] = [(evt.EVT_C_STORE, lambda _event: 0x0000), (evt.EVT_C_FIND, find)]
    entity.start_server((LOOPBACK, arguments.port), block=True, evt_handlers=handlers)


if __name__ == "__main__":
    main()
