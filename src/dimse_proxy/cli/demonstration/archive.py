"""A small archive: a storage and Study Root query/retrieve SCP that keeps its objects as files in a folder.

It stands in for a PACS behind proxy B. It writes data sets as the bytes that it received and sends them as the bytes
that it wrote; it decodes only the few attributes that it can be asked for. It knows nothing of proxies: a Move
Destination is an AE title with an address, as in any PACS.
"""

import fnmatch
import itertools
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pydicom
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

Address = tuple[str, int]
Answer = tuple[int, Dataset | None]
Handlers = list[Any]

_SUCCESS: Final = 0x0000
_PENDING: Final = 0xFF00
_CANCELLED: Final = 0xFE00
_CANNOT_UNDERSTAND: Final = 0xC000
_IDENTIFIER_DOES_NOT_MATCH: Final = 0xA900

_UNIQUE_KEYS: Final = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}

_SHARED_KEYS: Final = (
    *("SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "StudyDescription", "AccessionNumber"),
)
_SERIES_KEYS: Final = ("SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "Modality")
_IMAGE_KEYS: Final = ("SOPInstanceUID", "SOPClassUID", "InstanceNumber", "NumberOfFrames")
_KEYS: Final = {
    "STUDY": _SHARED_KEYS,
    "SERIES": (*_SHARED_KEYS, *_SERIES_KEYS),
    "IMAGE": (*_SHARED_KEYS, *_SERIES_KEYS, *_IMAGE_KEYS),
}


class StoredObject(Dataset):
    """What the archive remembers of an object: the attributes it can be asked for, and where the rest is."""

    path: Path
    """Of the file with the data set as received."""
    transfer_syntax: UID


class Archive:
    """The archive; it listens from `start` to `stop`."""

    def __init__(self, folder: Path, ae_title: str) -> None:
        """Prepares an archive.

        Args:
            folder: for its files; made when it starts.
            ae_title: the only called AE title that it answers to.
        """
        self._folder: Final = folder
        self._objects: Final[dict[str, StoredObject]] = {}
        self._numbers: Final = itertools.count(1)
        self._lock: Final = threading.Lock()
        self._destinations: dict[str, Address] = {}
        self._ae: Final = AE(ae_title=ae_title)
        self._ae.require_called_aet = True
        self._ae.add_supported_context(Verification)
        self._ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        self._ae.add_supported_context(StudyRootQueryRetrieveInformationModelMove)
        self._ae.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
        for context in AllStoragePresentationContexts:
            assert context.abstract_syntax is not None
            # Both roles: in a C-GET the requestor is the storage SCP.
            self._ae.add_supported_context(
                context.abstract_syntax, list(ALL_TRANSFER_SYNTAXES), scu_role=True, scp_role=True
            )

    def start(self, host: str, *, destinations: Mapping[str, Address]) -> int:
        """Listens on a free port of `host` and returns it; `destinations` are the AEs it may be told to move to."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._destinations = dict(destinations)
        handlers: Handlers = [
            (evt.EVT_C_STORE, self.handle_store),
            (evt.EVT_C_FIND, self.handle_find),
            (evt.EVT_C_GET, self.handle_get),
            (evt.EVT_C_MOVE, self.handle_move),
        ]
        server = self._ae.start_server((host, 0), block=False, evt_handlers=handlers)
        assert server is not None
        assert server.socket is not None
        return int(server.socket.getsockname()[1])

    def stop(self) -> None:
        """Aborts what is open and stops listening."""
        self._ae.shutdown()

    def handle_store(self, event: Event) -> int:
        """C-STORE: keeps the data set; the status says whether it could be read as far as the index needs."""
        request: Any = event.request
        # Not named by its UID: what a peer says is no part of a path.
        path = self._folder / f"{next(self._numbers)}.dcm"
        path.write_bytes(event.encoded_dataset())
        try:
            read = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_KEYS["IMAGE"]))
            stored = StoredObject({element.tag: element for element in read})
        except Exception:  # whatever a data set of anybody's may lead to is this one object's failure
            path.unlink()
            return _CANNOT_UNDERSTAND
        stored.path = path
        stored.transfer_syntax = UID(event.context.transfer_syntax)
        with self._lock:
            self._objects[str(request.AffectedSOPInstanceUID)] = stored
        return _SUCCESS

    def handle_find(self, event: Event) -> Iterator[Answer]:
        """C-FIND: an answer for each study, series or image that matches."""
        query = event.identifier
        level = query.get("QueryRetrieveLevel")
        if level not in _UNIQUE_KEYS:
            yield _IDENTIFIER_DOES_NOT_MATCH, None
            return
        answered = set()
        for stored in self._matching(query):
            if event.is_cancelled:
                yield _CANCELLED, None
                return
            unique = stored.get(_UNIQUE_KEYS[level])
            if unique not in answered:
                answered.add(unique)
                yield _PENDING, self._answer(query, level, stored)

    def handle_get(self, event: Event) -> Iterator[int | Answer]:
        """C-GET: the number of objects, then each of them."""
        found = self._matching(event.identifier)
        _send_files_as_they_are(event.assoc)
        yield len(found)
        yield from _one_by_one(event, found)

    def handle_move(self, event: Event) -> Iterator[tuple[Any, ...] | int | Answer]:
        """C-MOVE: where to, the number of objects, then each of them."""
        destination = self._destinations.get(str(event.move_destination).strip())
        if destination is None:
            yield None, None
            return
        found = self._matching(event.identifier)
        asker = event.assoc.requestor.ae_title

        def opened(opening: Event) -> None:
            _send_files_as_they_are(opening.assoc, move_originator=asker)

        arguments = {"contexts": _contexts_for(found), "evt_handlers": [(evt.EVT_CONN_OPEN, opened)]}
        yield *destination, arguments
        yield len(found)
        yield from _one_by_one(event, found)

    def _matching(self, query: Dataset) -> list[StoredObject]:
        with self._lock:
            objects = list(self._objects.values())
        return [stored for stored in objects if all(matches(element, stored) for element in query)]

    def _answer(self, query: Dataset, level: str, stored: StoredObject) -> Dataset:
        """The attributes asked for, as far as the archive has them at this level; the others are empty."""
        answer = Dataset()
        for element in query:
            known = element.keyword in _KEYS[level] and element.tag in stored
            answer.add_new(element.tag, element.VR, stored[element.tag].value if known else None)
        answer.QueryRetrieveLevel = level
        answer.RetrieveAETitle = self._ae.ae_title
        if "SpecificCharacterSet" in stored:
            answer.SpecificCharacterSet = stored.SpecificCharacterSet
        return answer


def matches(element: Any, stored: StoredObject) -> bool:
    """Single value, wildcard, list of UIDs and universal matching (PS3.4 C.2.2.2); no ranges."""
    wanted = element.value
    if element.keyword not in _KEYS["IMAGE"] or element.keyword == "SpecificCharacterSet":
        return True
    if wanted is None or wanted in ("", "*"):
        return True
    value = str(stored.get(element.keyword, "") or "")
    if isinstance(wanted, MultiValue | list):
        return value in map(str, wanted)
    return fnmatch.fnmatchcase(value.lower(), str(wanted).lower().replace("[", "[[]"))


def _one_by_one(event: Event, objects: list[StoredObject]) -> Iterator[Answer]:
    for stored in objects:
        if event.is_cancelled:
            yield _CANCELLED, None
            return
        yield _PENDING, stored


def _contexts_for(objects: list[StoredObject]) -> list[PresentationContext]:
    """A presentation context for each pair of SOP class and transfer syntax, so that nothing need be converted."""
    pairs = dict.fromkeys((str(stored.SOPClassUID), stored.transfer_syntax) for stored in objects)
    return [build_context(sop_class, transfer_syntax) for sop_class, transfer_syntax in pairs]


def _send_files_as_they_are(association: Any, *, move_originator: str | None = None) -> None:
    """Lets pynetdicom's sub-operations on `association` send files where they would encode data sets anew.

    Its retrieve services take nothing but data sets, and name the archive itself as Move Originator, which is the AE
    that asked for the C-MOVE (PS3.7 9.1.1.1).
    """

    def send(stored: StoredObject, **arguments: Any) -> Dataset:
        if move_originator is not None:
            arguments["originator_aet"] = move_originator
        status: Dataset = Association.send_c_store(association, stored.path, **arguments)
        return status

    association.send_c_store = send
