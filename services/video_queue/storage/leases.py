"""Who works on what: the rules of leases, each a single transaction, so that no two workers win.

A lease is lost at the moment it ends, whether or not somebody has noticed yet.
"""

import datetime as dt
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, func, insert, or_, select, update

from video_queue.domain.errors import InvalidRequest, LeaseLost, TooManyRenditions
from video_queue.domain.notifier import Notifier
from video_queue.domain.renditions import Rendition
from video_queue.domain.videos import Claim, Lease, Report, Video, VideoStatus
from video_queue.storage import rendition_rows, usage_rows
from video_queue.storage.catalog import to_microseconds, video_of
from video_queue.storage.database import Database
from video_queue.storage.schema import renditions, turns, videos
from video_queue.storage.sharing import announce, as_text, in_turn


class Leases:
    """Gives and takes leases. Every method may raise `CatalogUnavailable`."""

    def __init__(
        self, database: Database, length: dt.timedelta, max_attempts: int, limit_bytes: int
    ) -> None:
        self._database = database
        self._limit_bytes = limit_bytes
        self._length = length
        self._max_attempts = max_attempts

    async def claim(self, now: dt.datetime) -> Claim | None:
        """Lease out the next pending video, if there is one: the owners take turns.

        Next is the oldest video of the owner of whom the fewest videos are being worked on; of two
        such owners, the one whose last claim is longer ago. So one who has uploaded much does not
        keep the workers from the others.
        """
        lease = update(videos).values(
            status=VideoStatus.PROCESSING,
            progress_percent=0,
            updated_at=to_microseconds(now),
            lease_token=videos.c.lease_token + 1,
            lease_ends_at=to_microseconds(now + self._length),
            attempts=videos.c.attempts + 1,
        )

        def work(connection: Connection) -> Claim | None:
            # Whose turn it is, is known when the claim before has ended.
            in_turn(connection, "claim")
            while (number := connection.execute(_NEXT).scalar_one_or_none()) is not None:
                # For a database with many writers: it may have been deleted just now.
                is_next = (videos.c.number == number, videos.c.status == VideoStatus.PENDING)
                statement = lease.where(*is_next).returning(*videos.c)
                if row := connection.execute(statement).one_or_none():
                    _end_turn(connection, row.owner)
                    announce(connection, row.id)
                    return Claim(video_of(row), Lease(row.id, row.lease_token), row.attempts)
            return None

        if self._database.is_shared and not await self._database.read(_has_next):
            return None  # who only waits for work takes no turn from others
        return await self._database.write(work)

    async def video_under(self, lease: Lease, now: dt.datetime) -> Video:
        """Return the video of a lease that still holds. Raises `LeaseLost`."""
        query = select(videos).where(_holds(lease, now))
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            raise LeaseLost
        return video_of(row)

    async def check_publish(
        self, lease: Lease, name: str, max_number: int, now: dt.datetime
    ) -> None:
        """Return if a rendition of that name may be published. Raises as `publish` does."""
        held = select(videos.c.number).where(_holds(lease, now))
        await self._database.read(
            lambda connection: _check_publish(connection, held, lease, name, max_number)
        )

    async def publish(
        self, lease: Lease, rendition: Rendition, max_number: int, now: dt.datetime
    ) -> list[Rendition]:
        """Add a rendition, and return the one of that name that it replaces, if any.

        A video has `max_number` of them at most. Raises `LeaseLost`, `TooManyRenditions` or
        `StoreFull`.
        """

        # For a database with many writers: the lease cannot end between this look and the commit.
        held = select(videos.c.number).where(_holds(lease, now)).with_for_update()

        def work(connection: Connection) -> list[Rendition]:
            _check_publish(connection, held, lease, rendition.name, max_number)
            same_name = renditions.c.name == rendition.name
            replaced = rendition_rows.drop(
                connection, and_(rendition_rows.published_under(lease), same_name)
            )
            rendition_rows.add(connection, lease, rendition)
            more = rendition.size_bytes - sum(each.size_bytes for each in replaced)
            usage_rows.add_to_all(connection, more, self._limit_bytes)
            return replaced

        return await self._database.write(work)

    async def report(
        self, lease: Lease, report: Report, now: dt.datetime
    ) -> tuple[Video, list[Rendition]]:
        """Write down what the holder of a lease reports; return the video and what it has lost.

        COMPLETED keeps the renditions that were published under this lease, and FAILED none.
        Raises `LeaseLost`, or `InvalidRequest` when nothing was published.
        """
        goes_on = report.status is VideoStatus.PROCESSING
        statement = (
            update(videos)
            .where(_holds(lease, now))
            .values(
                status=report.status,
                progress_percent=report.progress_percent,
                failure_reason=report.failure_reason,
                updated_at=to_microseconds(now),
                lease_ends_at=to_microseconds(now + self._length) if goes_on else None,
            )
            .returning(*videos.c)
        )

        def work(connection: Connection) -> tuple[Video, list[Rendition]]:
            row = connection.execute(statement).one_or_none()
            if row is None:
                raise LeaseLost
            announce(connection, row.id)
            if goes_on:
                return video_of(row), []
            useless = renditions.c.video_id == lease.video_id
            if report.status is VideoStatus.COMPLETED:
                published = rendition_rows.published_under(lease)
                if not rendition_rows.number(connection, published):
                    raise InvalidRequest("There is nothing to see: publish a rendition first.")
                useless = and_(useless, renditions.c.lease_token != lease.token)
            return video_of(row), _dropped(connection, useless)

        return await self._database.write(work)

    async def release_lost(self, now: dt.datetime) -> tuple[list[Video], list[Rendition]]:
        """Take back every lease that has ended; return the videos and what they have lost.

        The videos wait for the next worker, or have failed if enough of them have tried. What was
        published under these leases is gone.
        """
        is_lost = and_(
            videos.c.status == VideoStatus.PROCESSING,
            or_(
                videos.c.lease_ends_at <= to_microseconds(now),
                # The clock was put back. Of a worker that is no more, we would wait for as long;
                # one that is well has renewed its lease by now, or makes another attempt.
                videos.c.lease_ends_at > to_microseconds(now + 2 * self._length),
            ),
        )
        query = select(videos.c.number).where(is_lost).limit(1)
        if await self._database.read(lambda connection: connection.execute(query).first()) is None:
            return [], []

        released: dict[str, Any] = {
            "progress_percent": 0,
            "updated_at": to_microseconds(now),
            "lease_ends_at": None,
        }
        failed = {
            "status": VideoStatus.FAILED,
            "failure_reason": f"No worker has finished this video in {self._max_attempts} "
            "attempts. Check that it plays, then upload it again.",
        }
        # For a database with many writers: one that is being written is looked at the next time.
        locked = select(videos.c.number).where(is_lost).with_for_update(skip_locked=True)
        lost = update(videos).where(is_lost, videos.c.number.in_(locked)).returning(*videos.c)
        statements = (
            lost.where(videos.c.attempts >= self._max_attempts).values(**released, **failed),
            lost.values(**released, status=VideoStatus.PENDING),
        )

        def work(connection: Connection) -> tuple[list[Video], list[Rendition]]:
            released = [
                video_of(row)
                for statement in statements
                for row in connection.execute(statement).all()
            ]
            for video in released:
                announce(connection, video.id, Notifier.WORK)
            theirs = renditions.c.video_id.in_([video.id for video in released])
            return released, _dropped(connection, theirs)

        return await self._database.write(work)


def _dropped(connection: Connection, which: ColumnElement[bool]) -> list[Rendition]:
    """Remove the renditions to which `which` applies, as the last step; return them."""
    dropped = rendition_rows.drop(connection, which)
    usage_rows.subtract(connection, sum(each.size_bytes for each in dropped))
    return dropped


def _check_publish(
    connection: Connection, held: Select[tuple[int]], lease: Lease, name: str, max_number: int
) -> None:
    if connection.execute(held).one_or_none() is None:
        raise LeaseLost
    others = and_(rendition_rows.published_under(lease), renditions.c.name != name)
    if rendition_rows.number(connection, others) >= max_number:
        raise TooManyRenditions


def _holds(lease: Lease, now: dt.datetime) -> ColumnElement[bool]:
    return and_(
        videos.c.id == as_text(lease.video_id),
        videos.c.lease_token == lease.token,
        videos.c.status == VideoStatus.PROCESSING,
        videos.c.lease_ends_at > to_microseconds(now),
    )


def _next_video() -> Select[tuple[int]]:
    """Return the query for the number of the video to be claimed next.

    The owners are found one after the other, each by a step down the index: so the query takes as
    long as there are owners who wait, and not as long as there are videos
    (https://wiki.postgresql.org/wiki/Loose_indexscan).
    """
    is_pending = videos.c.status == VideoStatus.PENDING
    first = select(func.min(videos.c.owner).label("owner")).where(is_pending)
    waiting = first.cte("waiting", recursive=True)
    following = (
        select(func.min(videos.c.owner))
        .where(is_pending, videos.c.owner > waiting.c.owner)
        .scalar_subquery()
    )
    waiting = waiting.union_all(select(following).where(waiting.c.owner.is_not(None)))
    theirs = videos.c.owner == waiting.c.owner
    oldest = select(func.min(videos.c.number)).where(is_pending, theirs).scalar_subquery()
    is_processing = videos.c.status == VideoStatus.PROCESSING
    processing = select(func.count()).where(is_processing, theirs).scalar_subquery()
    turn = select(turns.c.turn).where(turns.c.owner == waiting.c.owner).scalar_subquery()
    number = oldest.label("number")
    return (
        select(number)
        .where(waiting.c.owner.is_not(None))
        .order_by(processing, func.coalesce(turn, 0), number)
        .limit(1)
    )


_NEXT: Final = _next_video()


def _has_next(connection: Connection) -> bool:
    return connection.execute(_NEXT).first() is not None


def _end_turn(connection: Connection, owner: str) -> None:
    """Put an owner behind all others."""
    last = connection.execute(select(func.max(turns.c.turn))).scalar_one() or 0
    is_owner = turns.c.owner == owner
    if not connection.execute(update(turns).where(is_owner).values(turn=last + 1)).rowcount:
        connection.execute(insert(turns).values(owner=owner, turn=last + 1))
