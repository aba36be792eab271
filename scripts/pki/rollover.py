"""Replacing the CA with no downtime, in three stages, each of them checked before the next.

trust   a new CA is made, and everybody trusts both; the old one still issues
issue   the new one issues, and every leaf is issued again
drop    nobody trusts the old one any longer
"""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pki.authority import Authority
from pki.ca_folder import write_authority
from pki.errors import StageNotAllowed
from pki.reconcile import reconcile
from pki.rollover_state import Authorities, Rollover, Stage, end_rollover, write_rollover
from pki.run import Options, Run, as_option, exclusive_run
from pki.signing import common_name
from pki.survey import survey

_DOES: Final = {
    Stage.TRUST: "makes a new CA, which everybody trusts beside the old one",
    Stage.ISSUE: "has every leaf issued again, by the new CA",
    Stage.DROP: "takes the old CA away, which then nobody trusts any longer",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rollover has come, what is next, and the obstacles to that (none: allowed)."""

    now: str
    next: Stage
    obstacles: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """Yield it for people."""
        yield self.now
        yield f"Next: rotate-ca {self.next} {_DOES[self.next]}."
        yield "It is not allowed yet:" if self.obstacles else "It is allowed."
        yield from (f"  {obstacle}" for obstacle in self.obstacles)


def progress(folder: Path, options: Options, *, on_wait: Callable[[], object]) -> Progress:
    """Return how far it has come. Raises `PkiError`, and `OSError` for an unusable folder."""
    with exclusive_run(folder, options, on_wait) as run:
        return _progress(run, _load(run))


def rotate(
    folder: Path,
    options: Options,
    stage: Stage,
    *,
    on_wait: Callable[[], object] = lambda: None,
) -> tuple[str, ...]:
    """Go through `stage`, or finish it if a run was killed in it; return what was changed.

    Raises `StageNotAllowed` with every reason against it, `PkiError`, and `OSError`.
    """
    with exclusive_run(folder, options, on_wait) as run:
        authorities = _load(run)
        rollover = authorities.rollover
        if rollover and rollover.stage is stage and not rollover.completed:
            return tuple(reconcile(run, authorities))
        found = _progress(run, authorities)
        if stage is not found.next:
            raise StageNotAllowed(
                f"Stage {stage} is not the next one, {found.next} is. {found.now}"
            )
        if found.obstacles:
            raise StageNotAllowed(
                f"Stage {stage} is not allowed yet: {'; '.join(found.obstacles)}."
            )
        changes = []
        if stage is Stage.TRUST:
            generation = authorities.next_generation
            new = Authority.create(
                options.identities, key_type=options.key_type, generation=generation
            )
            end_rollover(folder)  # of the last one; else this would be taken for its end
            write_authority(folder, new)
            changes.append(f"ca: made {common_name(new.root)}")
        else:
            write_rollover(folder, Rollover(stage), owner=run.owner_of(None))
        return (*changes, *reconcile(run, _load(run)))


def _load(run: Run) -> Authorities:
    authorities = Authorities.load(run.folder, now=dt.datetime.now(dt.UTC))
    if authorities is None:
        raise StageNotAllowed("There is no CA yet; run this without a command to make one.")
    return authorities


def _progress(run: Run, authorities: Authorities) -> Progress:
    now = dt.datetime.now(dt.UTC)
    rollover = authorities.rollover
    next_stage = _NEXT[rollover.stage if rollover else None]
    if rollover and not rollover.completed:
        return Progress(
            f"{_describe(authorities)} A run was killed in stage {rollover.stage}.",
            rollover.stage,
            (),
        )
    faults = [
        f"{fault} (run this without a command)" for fault in survey(run, authorities, now).faults()
    ]
    load_time = run.options.load_time
    if (
        rollover
        and rollover.completed
        and (left := rollover.completed + load_time - now) > _NO_TIME
    ):
        faults.append(
            f"{left.total_seconds():.0f}s are left of the {as_option(load_time)} in which every "
            "service loads what changed"
        )
    return Progress(_describe(authorities), next_stage, tuple(faults))


def _describe(authorities: Authorities) -> str:
    issuing = common_name(authorities.issuing.root)
    if authorities.rollover is None:
        end = authorities.issuing.root.not_valid_after_utc
        return f"No rollover is under way. Everybody trusts {issuing}, until {end:%F}."
    trusted = " and ".join(common_name(authority.root) for authority in authorities.trusted)
    return f"Stage {authorities.rollover.stage}: everybody trusts {trusted}; {issuing} issues."


_NO_TIME: Final = dt.timedelta(0)
_NEXT: Final = {
    None: Stage.TRUST,
    Stage.TRUST: Stage.ISSUE,
    Stage.ISSUE: Stage.DROP,
    Stage.DROP: Stage.DROP,
}
