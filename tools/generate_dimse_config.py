"""Writes `dimse-config/` and `src/dimse_proxy/config/sop_classes.py` from the UIDs that pydicom and pynetdicom know.

Run it again after either of them was updated, and look at the difference: `python tools/generate_dimse_config.py`.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pydicom
import pynetdicom
from pydicom._uid_dict import UID_dictionary
from pynetdicom import sop_class

ROOT: Final = Path(__file__).resolve().parent.parent
VERIFICATION: Final = "1.2.840.10008.1.1"

# Lists of pynetdicom whose SOP classes have no other services than C-FIND, C-MOVE and C-GET.
QUERY_LISTS: Final = (
    "_QR_CLASSES",
    "_BASIC_WORKLIST_CLASSES",
    "_RELEVANT_PATIENT_QUERY_CLASSES",
    "_COLOR_PALETTE_CLASSES",
    "_DEFINED_PROCEDURE_CLASSES",
    "_HANGING_PROTOCOL_CLASSES",
    "_IMPLANT_TEMPLATE_CLASSES",
    "_INVENTORY_CLASSES",
    "_PROTOCOL_APPROVAL_CLASSES",
    "_SUBSTANCE_ADMINISTRATION_CLASSES",
)
STORAGE_LISTS: Final = ("_STORAGE_CLASSES", "_NON_PATIENT_OBJECT_CLASSES", "_MEDIA_STORAGE_CLASSES")
# Retired ones, which pynetdicom does not list.
QUERY_KEYWORD: Final = re.compile(r"InformationModel(Find|Move|Get)$")
STORAGE_KEYWORD: Final = re.compile(r"Storage(Trial|Retired)?$")
STORAGE_ROOT: Final = "1.2.840.10008.5.1.4.1.1."

HEADS: Final = {
    "IMAGE": "storage SOP classes",
    "QUERY": "SOP classes of query/retrieve, worklist and relatives: those with C-FIND, C-MOVE and C-GET only",
    "SERVICE": "all other SOP classes (Verification always passes and is not listed)",
}

OTHER_SOP_CLASSES: Final = {
    "IMAGE": "# Every other one, and private SOP classes of all services:",
    "QUERY": "# Every other one. Private ones belong to IMAGE_CUIDS unless they are listed here by their UID:",
    "SERVICE": "# Every other one. Private ones belong to IMAGE_CUIDS unless they are listed here by their UID:",
}


def main() -> None:
    """Write all files."""
    names = dict(sop_class_names())
    services = {uid: service_of(uid, name) for uid, name in names.items()}
    transfer_syntaxes = {uid: entry[4] or "Retired" for uid, entry in UID_dictionary.items() if is_transfer_syntax(uid)}
    folder = ROOT / "dimse-config"
    folder.mkdir(exist_ok=True)
    for service, head in HEADS.items():
        chosen = {uid: name for uid, name in names.items() if services[uid] == service}
        write_list(folder / f"{service}_CUIDS", head, chosen, OTHER_SOP_CLASSES[service])
        head = f"transfer syntaxes offered for what {service}_CUIDS lists"
        write_list(folder / f"{service}_TSUIDS", head, transfer_syntaxes, "# Every other one, private ones too:")
    write_module(ROOT / "src/dimse_proxy/config/sop_classes.py", names, services)


def is_transfer_syntax(uid: str) -> bool:
    """Whether pydicom calls the UID a transfer syntax."""
    return bool(UID_dictionary[uid][1] == "Transfer Syntax")


def listed(*lists: str) -> dict[str, str]:
    """Return UID -> name for lists of pynetdicom."""
    return {str(uid): name for entry in lists for name, uid in getattr(sop_class, entry).items()}


def sop_class_names() -> Iterator[tuple[str, str]]:
    """Give UID and name of every SOP class and Meta SOP class but Verification, retired ones included."""
    for uid, (_, kind, _, _, keyword) in UID_dictionary.items():
        if kind in ("SOP Class", "Meta SOP Class") and uid != VERIFICATION:
            yield uid, keyword or "Retired"
    # pynetdicom may be ahead of pydicom.
    lists = (name for name in vars(sop_class) if name.endswith("_CLASSES") and name != "_SERVICE_CLASSES")
    for uid, name in listed(*lists).items():
        if uid not in UID_dictionary:
            yield uid, name


def service_of(uid: str, name: str) -> str:
    """Return the service whose file a SOP class goes to."""
    if uid in listed(*QUERY_LISTS) or QUERY_KEYWORD.search(name):
        return "QUERY"
    if uid in listed("_STORAGE_MANAGEMENT_CLASSES"):
        return "SERVICE"
    if uid in listed(*STORAGE_LISTS) or STORAGE_KEYWORD.search(name) or uid.startswith(STORAGE_ROOT):
        return "IMAGE"
    return "SERVICE"


def order(uid: str) -> tuple[int, ...]:
    """Sort UIDs by their numbers."""
    return tuple(int(component) for component in uid.split("."))


def versions() -> str:
    """Return where the UIDs are from."""
    return f"pydicom {pydicom.__version__} and pynetdicom {pynetdicom.__version__}"


def write_list(path: Path, head: str, names: Mapping[str, str], others: str) -> None:
    """Write one file of the folder."""
    lines = [
        f"# {path.name}: {head}.",
        "# A line each, Name:UID; # starts a comment. Without this file none of them is filtered.",
        f"# Written by tools/generate_dimse_config.py from {versions()}.",
        "",
        *(f"{names[uid]}:{uid}" for uid in sorted(names, key=order)),
        "",
        others,
        "# *",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_module(path: Path, names: Mapping[str, str], services: Mapping[str, str]) -> None:
    """Write the table that classifies SOP classes."""
    parts = [
        '"""Which standard SOP classes are no storage: a table, and nothing else.',
        "",
        f"Written by tools/generate_dimse_config.py from {versions()}; not to be edited.",
        '"""',
        "",
        "from typing import Final",
    ]
    for service in ("QUERY", "SERVICE"):
        uids = sorted((uid for uid in names if services[uid] == service), key=order)
        parts += ["", f"{service}_SOP_CLASSES: Final = frozenset(", "    {"]
        parts += [f'        "{uid}",  # {names[uid]}' for uid in uids]
        parts += ["    }", ")", f'"""{HEADS[service][0].upper()}{HEADS[service][1:]}."""']
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
