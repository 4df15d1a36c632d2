"""pynetdicom as a storage or query SCU, which prints how long its work took, without its own start."""

import argparse
import json
import time
from pathlib import Path
from typing import Any, Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
)
from tests.integration.peers import pynetdicom_pause as pynetdicom_pause

LOOPBACK: Final = "127.0.0.1"


def store(association: Association, folder: Path, count: int) -> dict[str, Any]:
    """C-STORE of the first `count` objects in a folder."""
    length = 0
    for path in sorted(folder.iterdir())[:count]:
        status = association.send_c_store(dcmread(path))
        if status.get("Status") != 0:
            raise RuntimeError(f"{path.name}: {status}")
        length += path.stat().st_size
    return {"bytes": length}


def find(association: Association) -> dict[str, Any]:
    """C-FIND of all studies."""
    asked = Dataset()
    asked.QueryRetrieveLevel = "STUDY"
    asked.PatientName = asked.PatientID = asked.StudyInstanceUID = ""
    answers = list(association.send_c_find(asked, StudyRootQueryRetrieveInformationModelFind))
    return {"responses": len(answers) - 1}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", choices=("store", "find"))
    parser.add_argument("port", type=int)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--count", type=int, default=0)
    arguments = parser.parse_args()
    entity = AE(ae_title="BENCHSCU")
    entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    entity.add_requested_context(StudyRootQueryRetrieveInformationModelFind, ExplicitVRLittleEndian)
    begun, cpu = time.perf_counter(), time.process_time()
    association = entity.associate(LOOPBACK, arguments.port, ae_title="BENCHSCP")
    if not association.is_established:
        raise ConnectionError("no association")
    work = store(association, arguments.folder, arguments.count) if arguments.work == "store" else find(association)
    association.release()
    print(json.dumps({**work, "seconds": time.perf_counter() - begun, "cpu": time.process_time() - cpu}))


if __name__ == "__main__":
    main()
