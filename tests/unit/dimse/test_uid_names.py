import runpy
import subprocess
import sys
from pathlib import Path

import pydicom.uid
import pytest

from dimse_proxy.dimse.uids import uid_name

_TOOL = Path(__file__).parents[3] / "tools" / "generate_uids.py"


@pytest.mark.parametrize(
    ("uid", "name"),
    [
        ("1.2.840.10008.1.1", "Verification SOP Class"),
        ("1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)"),
        ("1.2.840.10008.1.2.4.110", "JPEG XL Lossless"),
        ("1.2.840.10008.5.1.4.1.1.2", "CT Image Storage"),
        ("1.2.840.10008.3.1.1.1", "DICOM Application Context Name"),
        ("1.2.840.10008.1.2.2", "Explicit VR Big Endian (Retired)"),
        ("1.2.840.10008.1.20.1.1", "Storage Commitment Push Model SOP Instance"),
    ],
)
def test_well_known(uid: str, name: str) -> None:
    assert uid_name(uid) == name


@pytest.mark.parametrize(
    "uid",
    [
        "1.2.826.0.1.3680043.9.1",
        "",
        "1.1",
        "1.2.840.10008.",
        "1.2.840.10008.1",
        "1.2.840.10008.1.1=Verification SOP Class\n1.2",
        "no uid",
    ],
)
def test_others_are_their_own_name(uid: str) -> None:
    assert uid_name(uid) == uid


def test_every_sop_class_and_transfer_syntax_of_pydicom_has_a_name() -> None:
    for uid in (*pydicom.uid.AllTransferSyntaxes, pydicom.uid.RTPlanStorage, pydicom.uid.ComprehensiveSRStorage):
        assert uid_name(uid).removesuffix(" (Retired)") == uid.name


def test_table_is_current() -> None:
    tool = runpy.run_path(str(_TOOL))
    assert tool["TARGET"].read_text(encoding="utf-8") == tool["source"]()


def test_table_is_loaded_when_the_first_name_is_asked_for() -> None:
    program = (
        "import sys\n"
        "from dimse_proxy.dimse.uids import uid_name\n"
        "before = 'dimse_proxy.dimse.uid_table' in sys.modules\n"
        "uid_name('1.2.840.10008.1.1')\n"
        "print(before, 'dimse_proxy.dimse.uid_table' in sys.modules, 'pydicom' in sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "True", "False"]
