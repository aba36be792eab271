"""What a check is, and how a table of checks is run in order."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Generic, TypeVar


class Result(StrEnum):
    """How a check came out. Only FAILED makes the exit code 1."""

    OK = "ok"
    NOTE = "note"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found: for a failure `detail` is the cause, and `fix` what to do about it.

    `command` is what to type, if that fixes it or shows more.
    """

    result: Result
    detail: str
    fix: str = ""
    command: str = ""


def ok(detail: str) -> Finding:
    """Nothing is wrong; `detail` says what is there."""
    return Finding(Result.OK, detail)


def note(detail: str, fix: str = "", command: str = "") -> Finding:
    """Not wrong, and worth knowing."""
    return Finding(Result.NOTE, detail, fix, command)


def failed(detail: str, fix: str, command: str = "") -> Finding:
    """Wrong: the cause, how to fix it and, if there is one, the command for it."""
    return Finding(Result.FAILED, detail, fix, command)


def skipped(why: str) -> Finding:
    """Not looked at."""
    return Finding(Result.SKIPPED, why)


def reissue(extension: str) -> str:
    """Say how to have a certificate issued again, in the notation of OpenSSL's extension files."""
    return f"Have it issued again with this extension: {extension}"


Subject = TypeVar("Subject")


@dataclass(frozen=True, slots=True)
class Check(Generic[Subject]):
    """One row of a table: a stable id, what must hold, and who looks.

    `needs` are ids of earlier checks without whose success this one has nothing to look at.
    """

    id: str
    claim: str
    look: Callable[[Subject], Finding]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """A check that has been run."""

    id: str
    claim: str
    finding: Finding
    is_blocked: bool = False
    """Whether it was skipped because an earlier check failed."""


_BECAUSE: Final = "because "


@dataclass(slots=True)
class Examination:
    """Everything found so far, in order, under the headings of its sections."""

    sections: dict[str, list[Checked]] = field(default_factory=dict)

    def run(
        self, heading: str, checks: Iterable[Check[Subject]], subject: Subject, prefix: str = ""
    ) -> None:
        """Run a table of checks on `subject`; each id, and each need with no dot, gets `prefix`."""
        section = self.sections.setdefault(heading, [])
        for check in checks:
            needs = [need if "." in need else prefix + need for need in check.needs]
            reason = self._obstacle(needs)
            finding = skipped(reason) if reason else check.look(subject)
            is_blocked = reason.startswith(_BECAUSE)
            section.append(Checked(prefix + check.id, check.claim, finding, is_blocked))

    def result_of(self, check_id: str) -> Result | None:
        """Return how a check came out; None if it has not been run."""
        checked = self._find(check_id)
        return checked.finding.result if checked else None

    def failures(self) -> list[Checked]:
        """Return the checks that failed, in the order in which they were run."""
        return [each for each in self._all() if each.finding.result is Result.FAILED]

    def _all(self) -> Iterable[Checked]:
        return (checked for section in self.sections.values() for checked in section)

    def _find(self, check_id: str) -> Checked | None:
        return next((each for each in self._all() if each.id == check_id), None)

    def _obstacle(self, needs: Iterable[str]) -> str:
        """Say which need is not met, by the id of the check that failed first."""
        for need in needs:
            match self._find(need):
                case Checked(finding=Finding(result=Result.FAILED)):
                    return f"{_BECAUSE}{need} failed"
                case Checked(finding=Finding(result=Result.SKIPPED, detail=detail)):
                    return detail
                case _:
                    pass
        return ""
