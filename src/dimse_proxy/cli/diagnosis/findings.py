"""What a check found: how bad it is, a sentence, and how to mend it. Nothing here looks at anything."""

from dataclasses import dataclass, field
from enum import IntEnum


class Severity(IntEnum):
    """How bad; the exit code is that of the worst finding."""

    GOOD = 0
    WARNING = 1
    """It works, and somebody should look at it."""
    ERROR = 2
    """No association, or not every one, gets through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the table."""

    check: str
    """What was looked at, a few words."""
    severity: Severity
    text: str
    """What was found, a sentence."""
    remedy: str = ""
    """How to mend it, a sentence; empty when nothing is to be mended."""
    seconds: float | None = None
    """How long that took, where that tells something."""


@dataclass(slots=True)
class Report:
    """All that was found, in order."""

    findings: list[Finding] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """Checks that make no sense after what was found before."""

    def good(self, check: str, text: str, seconds: float | None = None) -> None:
        """Note that all is well."""
        self.findings.append(Finding(check=check, severity=Severity.GOOD, text=text, seconds=seconds))

    def warning(self, check: str, text: str, remedy: str) -> None:
        """Note what should be looked at."""
        self.findings.append(Finding(check=check, severity=Severity.WARNING, text=text, remedy=remedy))

    def error(self, check: str, text: str, remedy: str) -> None:
        """Note what is in the way."""
        self.findings.append(Finding(check=check, severity=Severity.ERROR, text=text, remedy=remedy))

    @property
    def severity(self) -> Severity:
        """The worst."""
        return max((finding.severity for finding in self.findings), default=Severity.GOOD)

    @property
    def first(self) -> Finding | None:
        """The first thing that is wrong: what comes after it may only follow from it."""
        bad = [finding for finding in self.findings if finding.severity is Severity.ERROR]
        bad += [finding for finding in self.findings if finding.severity is Severity.WARNING]
        return next(iter(bad), None)
