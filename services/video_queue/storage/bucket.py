"""Files in a bucket of an object store that speaks S3.

An object appears whole, when its last request is answered; S3 answers when it is durable. A small
file is one request. A larger one is a multipart upload: parts of 5 MiB, of which one is on its way
while the next arrives, so that an upload holds two.

Several queues share the bucket, so that a leftover is told from the upload of another queue by its
age, as the store's own clock has it.
"""

import asyncio
import datetime as dt
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final

from mtls import IdentitySource
from mtls.reporting.events import log_limited

import structlog
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import ClientError as TransferError
from botocore.exceptions import BotoCoreError, ClientError

from runtime.errors import StartError
from video_queue.domain.errors import BytesLost, CallError, FilesUnavailable, StoreFull
from video_queue.storage.bucket_settings import BucketSettings
from video_queue.storage.files import IsKnown
from video_queue.storage.open_files import CHUNK_BYTES
from video_queue.storage.s3_session import MutualTlsSession

_log = structlog.get_logger(__name__)

_MAX_PARTS: Final = 10_000  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
_PAGE: Final = 500
# What a store says when it has no object or upload of that name, and when it has no room.
_MISSING: Final = frozenset({"NoSuchKey", "NoSuchUpload", "404", "NotFound"})
_FULL: Final = frozenset({"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "507"})


@asynccontextmanager
async def connected(
    settings: BucketSettings, identity: IdentitySource
) -> AsyncIterator[Callable[[str], "Bucket"]]:
    """Yield what makes the backend of a kind of files, by name. Raises `StartError`."""
    try:
        contexts = identity.client_contexts(settings.ca.read_bytes() if settings.ca else None)
    except OSError as error:
        raise StartError(
            f"{settings.ca} cannot be read ({error.strerror}): set VIDEO_QUEUE_FILES_CA."
        ) from error
    session = get_session()
    config = AioConfig(
        http_session_cls=partial(MutualTlsSession, contexts),
        retries={"mode": "standard", "total_max_attempts": settings.attempts},
        s3={"addressing_style": "path" if settings.endpoint else "auto"},
        # Stores that are not Amazon's differ in checksums. The signature has the body's SHA-256.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(
                session.create_client(
                    "s3",
                    region_name=session.get_config_variable("region") or "us-east-1",
                    endpoint_url=settings.endpoint,
                    config=config,
                )
            )
            await client.list_objects_v2(Bucket=settings.bucket, Prefix=settings.prefix, MaxKeys=1)
        except (BotoCoreError, ClientError) as error:
            raise StartError(
                f"The object store does not give us {settings.bucket} ({_short(error)}): see that "
                "it runs and has this bucket; then look at VIDEO_QUEUE_FILES, "
                "VIDEO_QUEUE_FILES_ENDPOINT, VIDEO_QUEUE_FILES_CA and AWS_ACCESS_KEY_ID."
            ) from error
        yield partial(Bucket, client, settings)


class Bucket:
    """The files of one kind, whose keys begin with `name`/."""

    def __init__(self, client: Any, settings: BucketSettings, name: str) -> None:
        self._client = client
        self._settings = settings
        self._prefix = f"{settings.prefix}{name}/"
        self.sweep_seconds = settings.sweep_seconds

    def _named(self, file_id: str) -> dict[str, str]:
        return {"Bucket": self._settings.bucket, "Key": self._prefix + file_id}

    def incoming(self, file_id: str, max_bytes: int) -> "_Incoming":
        """Return a file that begins to arrive."""
        # Rounded up, so that the largest file has no more parts than S3 takes.
        part_bytes = max(self._settings.part_bytes, -(-max_bytes // _MAX_PARTS))
        return _Incoming(self._client, self._named(file_id), part_bytes)

    @asynccontextmanager
    async def open(self, file_id: str, positions: range) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield the bytes at `positions`. Raises `BytesLost` or `FilesUnavailable`."""
        reading = _Reading(self._client, self._named(file_id), positions, self._settings.attempts)
        try:
            if positions:
                await reading.begin()
            yield reading.chunks()
        finally:
            reading.close()

    async def remove(self, file_id: str) -> None:
        """Delete a file. If the store does not answer, a sweep does it later."""
        await _delete(self._client, self._named(file_id))

    async def sweep(self, is_known: IsKnown) -> int:
        """Delete old files without a row, and old uploads that nobody has finished."""
        with _errors_of_files():
            return await self._sweep_orphans(is_known) + await self._sweep_unfinished()

    async def _sweep_orphans(self, is_known: IsKnown) -> int:
        swept = 0
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._settings.bucket,
            Prefix=self._prefix,
            PaginationConfig={"PageSize": _PAGE},
        )
        async for page in pages:
            limit = _now_in(page) - dt.timedelta(seconds=self._settings.orphan_seconds)
            old = [
                each["Key"].removeprefix(self._prefix)
                for each in page.get("Contents", ())
                if each["LastModified"] <= limit
            ]
            orphans = set(old) - await is_known(old) if old else set()
            for file_id in sorted(orphans):
                await self._client.delete_object(**self._named(file_id))
            swept += len(orphans)
        return swept

    async def _sweep_unfinished(self) -> int:
        swept = 0
        pages = self._client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self._settings.bucket, Prefix=self._prefix
        )
        async for page in pages:
            limit = _now_in(page) - dt.timedelta(seconds=self._settings.unfinished_seconds)
            for each in page.get("Uploads", ()):
                if each["Initiated"] <= limit:
                    await _abort(
                        self._client,
                        {"Bucket": self._settings.bucket, "Key": each["Key"]},
                        each["UploadId"],
                    )
                    swept += 1
        return swept


class _Incoming:
    """A file that arrives: a buffer of a part, and at most one more part on its way."""

    def __init__(self, client: Any, named: dict[str, str], part_bytes: int) -> None:
        self._client = client
        self._named = named
        self._part_bytes = part_bytes
        self._part = bytearray()
        self._hash = hashlib.sha256()
        self._size_bytes = 0
        self._upload_id: str | None = None
        self._sending: asyncio.Task[None] | None = None
        self._etags: list[dict[str, Any]] = []
        self._may_exist = False

    async def write(self, chunk: bytes) -> None:
        """Append to the file. Raises `StoreFull` or `FilesUnavailable`."""
        rest = memoryview(chunk)
        while rest:
            taken = rest[: self._part_bytes - len(self._part)]
            self._part += taken
            rest = rest[len(taken) :]
            if len(self._part) == self._part_bytes:
                await self._send_part()
        await asyncio.to_thread(self._hash.update, chunk)
        self._size_bytes += len(chunk)

    async def keep(self) -> bytes:
        """Make the file last; return its SHA-256. Raises `StoreFull` or `FilesUnavailable`."""
        with _errors_of_files():
            self._may_exist = True
            if self._upload_id is None:
                await self._client.put_object(**self._named, Body=self._part)
            else:
                if self._part:
                    await self._send_part()
                await self._last_part_sent()
                await self._complete()
        return self._hash.digest()

    async def discard(self) -> None:
        """Remove the file, wherever it is by now; what stays is left to a sweep."""
        if self._sending:
            self._sending.cancel()
            with suppress(asyncio.CancelledError, FilesUnavailable, StoreFull):
                await self._sending
        if self._upload_id:
            try:
                await _abort(self._client, self._named, self._upload_id)
            except (BotoCoreError, ClientError) as error:
                log_limited("files.left", "abort", error=_short(error))
        if self._may_exist:
            await _delete(self._client, self._named)

    async def _send_part(self) -> None:
        with _errors_of_files():
            if self._upload_id is None:
                begun = await self._client.create_multipart_upload(**self._named)
                self._upload_id = begun["UploadId"]
            await self._last_part_sent()
        part, self._part = self._part, bytearray()
        self._sending = asyncio.create_task(self._upload(part, len(self._etags) + 1))

    async def _upload(self, part: bytearray, number: int) -> None:
        with _errors_of_files():
            answer = await self._client.upload_part(
                **self._named, UploadId=self._upload_id, PartNumber=number, Body=part
            )
        self._etags.append({"PartNumber": number, "ETag": answer["ETag"]})

    async def _last_part_sent(self) -> None:
        """Wait for the part that is on its way. A cancellation does not reach that one."""
        if self._sending:
            await asyncio.shield(self._sending)
            self._sending = None

    async def _complete(self) -> None:
        try:
            await self._client.complete_multipart_upload(
                **self._named, UploadId=self._upload_id, MultipartUpload={"Parts": self._etags}
            )
        except ClientError as error:
            # The answer to a first attempt was lost, and a second finds the upload finished.
            if _code_of(error) != "NoSuchUpload":
                raise
            found = await self._client.head_object(**self._named)
            if found["ContentLength"] != self._size_bytes:
                raise
        self._upload_id = None


class _Reading:
    """A range of an object, which is asked for again where a connection has broken off."""

    def __init__(self, client: Any, named: dict[str, str], positions: range, attempts: int) -> None:
        self._client = client
        self._named = named
        self._attempts = attempts
        self._position, self._stop = positions.start, positions.stop
        self._body: Any = None

    async def begin(self) -> None:
        """Ask for the bytes from the position on. Raises `BytesLost` or `FilesUnavailable`."""
        self.close()
        with _errors_of_files(missing=BytesLost):
            answer = await self._client.get_object(
                **self._named, Range=f"bytes={self._position}-{self._stop - 1}"
            )
        self._body = answer["Body"]

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes. Raises `BytesLost` if some are missing, and `FilesUnavailable`."""
        failures = 0
        while self._position < self._stop:
            try:
                chunk = await self._read()
            except (BotoCoreError, TransferError, TimeoutError) as error:
                failures += 1
                if failures == self._attempts:
                    raise FilesUnavailable from error
                await self.begin()
                continue
            failures = 0
            self._position += len(chunk)
            yield chunk

    async def _read(self) -> bytes:
        """Return the next chunk. The stream has as much as has arrived, which may be little."""
        wanted = min(CHUNK_BYTES, self._stop - self._position)
        chunk = bytearray()
        while len(chunk) < wanted:
            piece = await self._body.read(wanted - len(chunk))
            if not piece:
                raise BytesLost
            chunk += piece
        return bytes(chunk)

    def close(self) -> None:
        """Give the connection back, or close it if bytes are still to come."""
        if self._body is not None:
            self._body.close()
            self._body = None


async def _delete(client: Any, named: dict[str, str]) -> None:
    try:
        await client.delete_object(**named)
    except (BotoCoreError, ClientError) as error:
        log_limited("files.left", "delete", error=_short(error))


async def _abort(client: Any, named: dict[str, str], upload_id: str) -> None:
    try:
        await client.abort_multipart_upload(**named, UploadId=upload_id)
    except ClientError as error:
        if _code_of(error) not in _MISSING:
            raise


@contextmanager
def _errors_of_files(missing: type[CallError] = FilesUnavailable) -> Iterator[None]:
    """Raise the domain's errors in place of botocore's: `missing` where there is no object."""
    try:
        yield
    except ClientError as error:
        code = _code_of(error)
        if code in _MISSING or code == "InvalidRange":
            raise missing from error
        if code in _FULL:
            raise StoreFull from error
        raise FilesUnavailable from error
    except BotoCoreError as error:
        raise FilesUnavailable from error


def _code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _short(error: Exception) -> str:
    """Return what a store's error is, without a URL or a key's name."""
    return _code_of(error) or "error" if isinstance(error, ClientError) else type(error).__name__


def _now_in(page: Any) -> dt.datetime:
    """Return the store's time, to which the ages of its objects are compared."""
    date = page["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    try:
        return parsedate_to_datetime(date)
    except ValueError:
        return dt.datetime.now(dt.UTC)
