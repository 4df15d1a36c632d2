"""Writes a new study of a patient, two older ones, and one of somebody else, a folder each."""

import sys
from datetime import date
from pathlib import Path

from examples.dicom import say
from examples.objects import Study, ct_series, write

STUDIES = {
    "new": Study(patient="EXAMPLE-1", day=date(2024, 5, 2), description="Chest CT today"),
    "old/1": Study(patient="EXAMPLE-1", day=date(2021, 3, 4), description="Chest CT of 2021"),
    "old/2": Study(patient="EXAMPLE-1", day=date(2018, 9, 9), description="Chest CT of 2018"),
    "old/3": Study(patient="EXAMPLE-2", day=date(2020, 1, 1), description="Somebody else's"),
}


def main(folder: Path) -> None:
    """Writes three images a study into folders of `folder`."""
    for name, study in STUDIES.items():
        write(folder / name, ct_series(study, 3))
        say(f"{folder / name}: {study.description}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
