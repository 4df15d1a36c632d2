"""Fails unless the packages named on the command line are covered by 100 % of their branches; reads `.coverage`."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path


def main(packages: list[str]) -> int:
    """Prints each file that is not fully covered, and what of it.

    Args:
        packages: names of packages within `dimse_proxy`.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        subprocess.run([sys.executable, "-m", "coverage", "json", "-q", "-o", str(report)], check=True)
        files = json.loads(report.read_text())["files"]
    lacking = 0
    for name, figures in sorted(files.items()):
        if not any(f"dimse_proxy/{package}/" in name for package in packages):
            continue
        lines, branches = figures["missing_lines"], figures.get("missing_branches", [])
        if lines or branches:
            lacking += 1
            print(f"{name}: lines {lines} and branches {branches} are not covered")
    if lacking:
        print(f"{lacking} files of {', '.join(packages)} are not fully covered")
        return 1
    print(f"{', '.join(packages)}: every branch is covered")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
