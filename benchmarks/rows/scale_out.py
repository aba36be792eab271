"""Row 16: the queue with PostgreSQL and an object store, against SQLite and a folder.

Both stores are on this machine and sync to its disk before they answer, as the folder does. Their
own work is told apart: with SQLite it is done inside the queue.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.bulk import measure_upload_and_download, upload_small
from benchmarks.processes import Server
from benchmarks.requests import Load, measure_requests
from benchmarks.rounds import Measure, Sample, compare
from benchmarks.rows.scale import Scale
from benchmarks.stacks import Place, Stack, our_gateway, our_queue
from demo_identities import IDENTITIES, identity_named
from local_object_store import BUCKET, ObjectStore, local_object_store
from local_postgresql import QUEUE, LocalPostgresql, local_postgresql
from pki.authority import Authority
from pki.identity_folder import write_identity

_DEFAULT: Final = "SQLite and a folder"
_SCALED: Final = "PostgreSQL and S3"
_ROW: Final = "16"
_FEWEST: Final = 64  # for percentiles


@dataclass(frozen=True, slots=True)
class Stores:
    """Both, running; and what they have used."""

    database: LocalPostgresql
    files: ObjectStore

    @property
    def variables(self) -> Mapping[str, str]:
        """How a queue is told of them."""
        return {
            "VIDEO_QUEUE_DATABASE_URL": self.database.url,
            "VIDEO_QUEUE_FILES": f"s3://{BUCKET}",
            "VIDEO_QUEUE_FILES_ENDPOINT": self.files.endpoint,
            **self.files.environment,
        }

    def cpu_seconds(self) -> float:
        """Return what both have used, as far as their processes live."""
        processes = (self.database.process, self.files.process)
        return sum(Server("store", each, "").cpu_seconds() for each in processes if each)


def against_default(place: Place, scale: Scale) -> Iterator[Measure]:
    """Requests/s, MB/s and CPU, with the stores against without."""
    authority = Authority.create(IDENTITIES)
    own = replace(place, certs=_certificates(place.folder / "certs", authority))
    folder = place.folder / "store"
    folder.mkdir()
    with (
        local_postgresql(authority, fast=False) as database,
        local_object_store(folder, authority) as files,
    ):
        files.sync_before_answering()
        stores = Stores(database, files)
        samples = scale.rounds.alternate(
            {
                _SCALED: partial(_measure, own, scale, stores),
                _DEFAULT: partial(_measure, own, scale, None),
            }
        )
    for title, figure, unit, more_is_better in (
        ("GET", "get_rate", "requests/s", True),
        ("POST", "post_rate", "requests/s", True),
        ("CPU of a GET at gateway and queue", "get_cpu", "CPU ms", False),
        ("CPU of a POST at gateway and queue", "post_cpu", "CPU ms", False),
        ("upload", "upload_rate", "MB/s", True),
        ("download", "download_rate", "MB/s", True),
        ("CPU of an upload at gateway and queue", "upload_cpu", "CPU ms/MB", False),
        ("CPU of a download at gateway and queue", "download_cpu", "CPU ms/MB", False),
        ("CPU of all, the stores included", "all_cpu", "CPU s", False),
    ):
        yield compare(
            samples,
            _SCALED,
            _DEFAULT,
            figure,
            row=_ROW,
            title=title,
            unit=unit,
            more_is_better=more_is_better,
        )


def _certificates(folder: Path, authority: Authority) -> Path:
    for identity in (
        QUEUE,
        identity_named("gateway"),
        identity_named("client/uploader"),
    ):
        write_identity(folder / identity.name, authority.issue(identity), authority.ca_pem)
    return folder


def _measure(place: Place, scale: Scale, stores: Stores | None) -> Sample:
    with _running(place, stores) as stack:
        video_id = upload_small(place, stack)
        if scale.warm_up_requests:
            measure_requests(place, stack, Load("both", scale.warm_up_requests), video_id)
        measure_upload_and_download(place, stack, scale.warm_up_bytes)
        before = _all_cpu_seconds(stack, stores)
        get = measure_requests(place, stack, Load("get", scale.requests), video_id)
        post = measure_requests(
            place, stack, Load("post", max(scale.requests // 4, _FEWEST)), video_id
        )
        transfer = measure_upload_and_download(place, stack, scale.bulk_bytes)
        return {
            **transfer,
            "get_rate": get["requests_per_second"],
            "get_cpu": get["cpu"],
            "post_rate": post["requests_per_second"],
            "post_cpu": post["cpu"],
            "all_cpu": _all_cpu_seconds(stack, stores) - before,
        }


def _all_cpu_seconds(stack: Stack, stores: Stores | None) -> float:
    return stack.cpu_seconds() + (stores.cpu_seconds() if stores else 0)


@contextmanager
def _running(place: Place, stores: Stores | None) -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(dir=place.folder) as folder, ExitStack() as running:
        own = replace(place, folder=Path(folder))
        queue = running.enter_context(our_queue(own, [], stores.variables if stores else None))
        gateway = running.enter_context(our_gateway(own, queue.address, []))
        yield Stack(_SCALED if stores else _DEFAULT, gateway, queue)
