"""Writes studies of two hospitals that use the same Patient IDs: old ones in each PACS, and a new one of each CT1."""

import sys
from datetime import date
from pathlib import Path

from examples.dicom import say
from examples.objects import Study, ct_series, write


def main(folder: Path) -> None:
    """Writes two images a study into folders of `folder`."""
    for hospital, count in (("north", 3), ("south", 2)):
        for number in range(1, count + 1):
            study = Study(patient=f"EXAMPLE-{number}", day=date(2024, 1, number), description=f"Old, {hospital}")
            write(folder / hospital / "old" / str(number), ct_series(study, 2))
        new = Study(patient="EXAMPLE-1", day=date(2024, 6, 1), description=f"New, {hospital}")
        write(folder / hospital / "new", ct_series(new, 2))
        say(f"{hospital}: {count} old studies, 1 new one")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
