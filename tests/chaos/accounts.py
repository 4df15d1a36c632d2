"""The accounts of a load: what each site sent and received, and what their comparison says."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self


@dataclass(slots=True)
class Account:
    """One site's account; made in the site's process, and read from its file by the bench."""

    sent: dict[str, list[object]] = field(default_factory=dict)
    """SOP instance -> length and digest, once the SCP answered with success."""
    failed: dict[str, str] = field(default_factory=dict)
    """SOP instance -> why its C-STORE did not succeed."""
    received: dict[str, list[list[object]]] = field(default_factory=dict)
    """SOP instance -> length and digest of each arrival."""
    associations: int = 0
    """Requested, accepted, released."""
    refused: list[str] = field(default_factory=list)
    aborted: list[str] = field(default_factory=list)
    """How associations ended that were not released."""
    finds: int = 0
    answers: int = 0
    moves: int = 0
    turns: list[int] = field(default_factory=list)
    """Associations that each load of this site has had."""
    ended_at_scp: list[str] = field(default_factory=list)
    """How associations of the SCP ended that were not released."""
    wrong: list[str] = field(default_factory=list)
    """Anything else that must not be, such as an answer out of order."""

    def save(self, path: Path) -> None:
        path.write_text(json.dumps({name: getattr(self, name) for name in self.__slots__}))

    @classmethod
    def load(cls, path: Path) -> Self:
        return cls(**json.loads(path.read_text()))

    def arrivals(self) -> int:
        """Objects received."""
        return sum(map(len, self.received.values()))


@dataclass(slots=True)
class Totals:
    """What all sites together have to say."""

    associations: int = 0
    refused: int = 0
    aborted_texts: list[str] = field(default_factory=list)
    objects: int = 0
    bytes: int = 0
    finds: int = 0
    answers: int = 0
    moves: int = 0
    lost: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def check(self, *, aborts_allowed: bool = False) -> None:
        """Fail if anything was lost, corrupted or doubled; and, unless that is expected, if anything was aborted."""
        assert not self.lost, f"lost: {self.lost[:5]}"
        assert not self.corrupt, f"corrupt: {self.corrupt[:5]}"
        assert not self.doubled, f"doubled: {self.doubled[:5]}"
        if not aborts_allowed:
            assert not self.aborted, f"{self.aborted} aborted: {self.troubles[:5]}"
            assert not self.troubles, self.troubles[:5]

    @property
    def aborted(self) -> int:
        """Associations that did not end with a release."""
        return len(self.aborted_texts)

    def line(self, faults: int) -> str:
        """The figures of a run."""
        return (
            f"faults {faults}, associations {self.associations}, objects {self.objects}, "
            f"bytes {self.bytes} ({self.bytes / 1e9:.2f} GB), C-FIND {self.finds} ({self.answers} answers), "
            f"C-MOVE {self.moves}; refused {self.refused}, aborted {self.aborted}, lost {len(self.lost)}, "
            f"corrupt {len(self.corrupt)}, doubled {len(self.doubled)}"
        )


def compare(accounts: Iterable[Account]) -> Totals:
    """Compare what was sent with what was received; all sites of a bench together."""
    totals = Totals()
    sent: dict[str, list[object]] = {}
    failed: dict[str, str] = {}
    received: dict[str, list[list[object]]] = {}
    for account in accounts:
        sent |= account.sent
        failed |= account.failed
        for uid, arrivals in account.received.items():
            received.setdefault(uid, []).extend(arrivals)
        totals.associations += account.associations
        totals.refused += len(account.refused)
        totals.aborted_texts += account.aborted
        totals.finds += account.finds
        totals.answers += account.answers
        totals.moves += account.moves
        totals.troubles += account.aborted + account.wrong + list(account.failed.values())
    for uid, content in sent.items():
        arrivals = received.get(uid, [])
        totals.objects += 1
        totals.bytes += int(str(content[0]))
        if not arrivals:
            totals.lost.append(uid)
        elif len(arrivals) > 1:
            totals.doubled.append(f"{uid}: {len(arrivals)} times")
        elif arrivals[0] != content:
            totals.corrupt.append(f"{uid}: {content} became {arrivals[0]}")
    totals.corrupt += [uid for uid in received if uid not in sent and uid not in failed]
    return totals
