"""Builds the bundle and the wheel: `python -m tools.bundle`, with the interpreter that the bundle shall have inside."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tools.bundle import archive, elf, environments, frozen, licences, sbom
from tools.bundle.environments import ROOT
from tools.release_notes import version_of_source

BUNDLE: Final = ROOT / "deploy" / "bundle"
EXECUTABLES: Final = ("dicom-dimse-proxy.sh",)
BESIDE: Final = (*EXECUTABLES, "dicom-dimse-proxy.env", "dicom-dimse-proxy.service", "docker-compose.yml")
"""What an administrator touches."""
SBOM_NAME: Final = "sbom.cdx.json"

README: Final = """\
DIMSE Proxy {version}, for Linux x86_64 with glibc {glibc} or later. Nothing else is needed; Python {python} is inside.

    vi dicom-dimse-proxy.env             # every setting; DIMSE_NATS_URL is the one that must be set
    ./dicom-dimse-proxy.sh start         # stop, restart, status, foreground
    ./dicom-dimse-proxy.sh doctor        # the first thing that is wrong, and how to mend it

docs/deployment.md says how to install it as a service, how to upgrade and how to go back.
sha256sum --quiet --check SHA256SUMS    says whether it is as it was packed.
licences/ has the licences of what is inside, {sbom} its bill of materials.
"""


def moment_of_source() -> int:
    """Seconds since 1970 that everything in the bundle is of: SOURCE_DATE_EPOCH, or the last commit's."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return int(os.environ["SOURCE_DATE_EPOCH"])
    done = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False
    )  # an archive of the sources has no history
    return int(done.stdout) if done.returncode == 0 else 0


def too_new(glibc: elf.Version, most: str) -> bool:
    """Whether the bundle needs a newer glibc than it may; `most` is `2.28`, or empty for any."""
    return bool(most) and glibc > tuple(int(part) for part in most.split("."))


def build(work: Path, output: Path, most_glibc: str) -> Path:
    """Builds all of it; the path of the tar."""
    version, moment = version_of_source(), moment_of_source()
    shutil.rmtree(work, ignore_errors=True)
    output.mkdir(parents=True, exist_ok=True)
    more = {"SOURCE_DATE_EPOCH": str(moment)}
    builder = environments.make_builder(work / "builder", sys.executable)
    wheel = environments.build_wheel(builder, work / "wheel", more)
    runtime = environments.make_runtime(work / "runtime", builder, wheel)
    made = frozen.freeze(work, builder, runtime, more)
    if too_new(made.glibc, most_glibc):
        sys.exit(f"the bundle needs glibc {elf.written(made.glibc)}, and may need {most_glibc} at most")
    try:
        parts = licences.inside(made, builder, runtime, work)
    except licences.LicenceError as error:
        sys.exit(f"licences: {error}")

    folder = work / f"{frozen.NAME}-{version}"
    frozen.copy_into(made, folder)
    (folder / frozen.LIBRARIES / "GLIBC").write_text(elf.written(made.glibc) + "\n", encoding="ascii")
    for name in BESIDE:
        shutil.copy(BUNDLE / name, folder / name)
    shutil.copytree(ROOT / "dimse-config", folder / "dimse-config")
    shutil.copytree(ROOT / "docs", folder / "docs")
    for name in ("LICENSE", "CHANGELOG.md"):
        shutil.copy(ROOT / name, folder / name)
    licences.write(parts, folder / "licences")
    others = [part for part in parts if part.package is not None or part.name == "Python"]
    document = sbom.with_parts(sbom.of_packages(builder, runtime), others, version)
    sbom.write(document, folder / SBOM_NAME, builder)
    python = ".".join(str(number) for number in sys.version_info[:3])
    text = README.format(version=version, glibc=elf.written(made.glibc), python=python, sbom=SBOM_NAME)
    (folder / "README.txt").write_text(text, encoding="utf-8")
    (folder / archive.SUMS).write_text(archive.sums_of(folder), encoding="utf-8")

    tar = output / f"{folder.name}.tar"
    archive.pack(folder, tar, moment)
    released = [tar, output / wheel.name, output / f"{folder.name}.{SBOM_NAME}"]
    shutil.copyfile(wheel, released[1])
    shutil.copyfile(folder / SBOM_NAME, released[2])
    sums = "".join(f"{archive.digest(path)}  {path.name}\n" for path in released)
    (output / archive.SUMS).write_text(sums, encoding="utf-8")
    print(f"{tar.name}: {tar.stat().st_size / 1e6:.0f} MB, Python {python}, glibc {elf.written(made.glibc)} or later")
    return tar


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tools.bundle", description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bundle", help="folder to build in")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="folder for what comes out")
    parser.add_argument("--max-glibc", default="", metavar="2.28", help="fail when a newer glibc would be needed")
    arguments = parser.parse_args()
    build(arguments.work.resolve(), arguments.output.resolve(), arguments.max_glibc)


if __name__ == "__main__":
    main()
