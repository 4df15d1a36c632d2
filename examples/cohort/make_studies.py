"""Writes 24 CT studies, 20 of them of 2024; one of those holds a structured report beside its images."""

import sys
from datetime import date
from pathlib import Path

from examples.dicom import say
from examples.objects import Study, ct_series, results_of, write

WITH_REPORT = 7


def main(folder: Path) -> None:
    """Writes a folder a study, two images each."""
    for number in range(1, 25):
        year, month = (2024, (number - 1) % 12 + 1) if number <= 20 else (2019, 6)
        study = Study(patient=f"EXAMPLE-{number:02d}", day=date(year, month, number))
        images = ct_series(study, 2)
        report = results_of(study, images)[:1] if number == WITH_REPORT else []
        write(folder / f"{number:02d}", [*images, *report])
    say(f"24 studies in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
