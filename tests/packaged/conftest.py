"""What these tests share: a Debian system without Python, and a network that consists of a loopback interface.

The network namespace is entered by this very process, so every peer that a test starts is in it too, unchanged.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from tools.image import roots

from dimse_proxy import __version__

ROOT: Final = Path(__file__).resolve().parents[2]
NAME: Final = f"dicom-dimse-proxy-{__version__}"
CACHE: Final = ROOT / "build" / "roots"
NEW_NETWORK: Final = 0x40000000  # CLONE_NEWNET of sched.h; Python has a name for it from 3.12


@pytest.fixture(scope="session")
def debian() -> Path:
    """An untouched system, as debootstrap makes it."""
    if reason := roots.reason_against():
        pytest.skip(reason)
    return roots.debian(CACHE)


@pytest.fixture(scope="session")
def bundle() -> Path:
    """The tar: the one in the folder PACKED_BUNDLE, or the one of these sources, made now unless it is there."""
    folder = os.environ.get("PACKED_BUNDLE")
    if folder is None:
        subprocess.run(["make", "--silent", "bundle"], cwd=ROOT, check=True)
    return Path(folder or ROOT / "dist") / f"{NAME}.tar"


@pytest.fixture(scope="module")
def no_network() -> Iterator[None]:
    """This process and its children have nothing but a loopback interface."""
    if reason := roots.reason_against():
        pytest.skip(reason)
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        assert libc.unshare(NEW_NETWORK) == 0, os.strerror(ctypes.get_errno())
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
    finally:
        assert libc.setns(before, NEW_NETWORK) == 0, os.strerror(ctypes.get_errno())
        os.close(before)
