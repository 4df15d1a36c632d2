"""Names of well-known UIDs (PS3.6 Annex A), for people who read logs.

The table is generated (`tools/generate_uids.py`) and loaded when the first name is asked for. No decision may rest on
a name, nor on whether a UID has one: private SOP classes are as good as any.
"""

from typing import Final

_DICOM_ROOT: Final = "1.2.840.10008."


def uid_name(uid: str) -> str:
    """Return the name of a SOP class, transfer syntax or other well-known UID, else the UID itself."""
    if not uid.startswith(_DICOM_ROOT) or "=" in uid:
        return uid
    # Imported late: a process that logs no name has no use for the table.
    from dimse_proxy.dimse.uid_table import TABLE

    # The table is searched as the text it is: some microseconds, and no dictionary of it in memory.
    line = f"\n{uid.removeprefix(_DICOM_ROOT)}="
    start = TABLE.find(line)
    return uid if start < 0 else TABLE[start + len(line) : TABLE.index("\n", start + len(line))]
