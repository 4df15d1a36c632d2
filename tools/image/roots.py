"""Small Debian systems in folders: made by debootstrap once, copied for each use, entered with chroot.

Needs root, debootstrap and a Debian mirror for the first one. Nothing of this machine changes: what is mounted into a
folder is mounted in a namespace that ends with the command.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

SUITE: Final = "trixie"
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_ENTER: Final = """
set -e
mount -t proc proc "$1/proc"
[ "$2" = writable ] || { mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"; mount -t proc proc "$1/proc"; }
[ "$2" = writable ] || mount -t tmpfs tmpfs "$1/tmp"
root=$1; user=$3; shift 3
exec /usr/sbin/chroot --userspec="$user" "$root" "$@"
"""


def reason_against() -> str:
    """Why this machine cannot do it; nothing when it can."""
    if os.geteuid() != 0:
        return "chroot and debootstrap need root"
    missing = [name for name in ("debootstrap", "unshare", "chroot") if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


def debian(cache: Path) -> Path:
    """The folder with an untouched system, made now or before."""
    root = cache / SUITE
    if not root.is_dir():
        unfinished = cache / f"{SUITE}.{os.getpid()}"
        cache.mkdir(parents=True, exist_ok=True)
        # In a mount namespace of its own: debootstrap mounts /proc, and leaves it there.
        command = ["unshare", "--mount", "--propagation", "private", "debootstrap", "--variant=minbase", SUITE]
        try:
            subprocess.run([*command, str(unfinished)], check=True, stdout=subprocess.DEVNULL)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        unfinished.rename(root)
    return root


def copy(root: Path, target: Path) -> Path:
    """A copy to work in: devices, owners and links as they are."""
    subprocess.run(["cp", "--archive", "--reflink=auto", str(root), str(target)], check=True)
    return target


def inside(root: Path, *command: str, user: str = "0:0", writable: bool = True) -> list[str]:
    """The command line that runs `command` with `root` as its whole file system.

    Args:
        root: of the system.
        command: with an absolute path, or found on the PATH of its environment.
        user: number and group, as for a container.
        writable: else everything but /tmp is read-only, as with a container's read-only root.
    """
    mode = "writable" if writable else "read-only"
    words: Sequence[str] = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER, "sh"]
    return [*words, str(root), mode, user, *command]
