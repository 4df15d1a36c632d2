"""Writes what an AI application might have made of a CT series: a structured report, a segmentation, a capture."""

import sys
from pathlib import Path

from examples.dicom import say
from examples.objects import Study, ct_series, results_of, write


def main(folder: Path) -> None:
    """Writes the three files into `folder`."""
    study = Study(patient="EXAMPLE-1", description="Chest CT")
    for path in write(folder, results_of(study, ct_series(study, 3))):
        say(str(path))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
