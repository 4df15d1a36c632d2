"""Checksums, and a tar that comes out the same from the same files: sorted, owned by root, all of one moment."""

import hashlib
import tarfile
from pathlib import Path
from typing import Final

from tools.bundle.frozen import files

SUMS: Final = "SHA256SUMS"
CHUNK: Final = 1 << 20


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def sums_of(folder: Path) -> str:
    """A line for each file, as `sha256sum --check` reads them."""
    return "".join(f"{digest(path)}  {path.relative_to(folder)}\n" for path in files(folder) if path.name != SUMS)


def pack(folder: Path, tar: Path, moment: int) -> None:
    """Packs `folder`, itself included, as `tar`.

    Args:
        folder: what to pack.
        tar: the file to write.
        moment: time of change of every file, seconds since 1970.
    """

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mtime = moment
        executable = entry.isdir() or bool(entry.mode & 0o100)
        entry.mode = 0o755 if executable else 0o644
        return entry

    with tarfile.open(tar, "w", format=tarfile.GNU_FORMAT) as archive:
        for path in [folder, *sorted(folder.rglob("*"))]:
            archive.add(path, arcname=str(path.relative_to(folder.parent)), recursive=False, filter=plain)
