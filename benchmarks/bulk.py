"""One large video, up and down, through both hops."""

import http.client
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Final

from mtls.ssl_contexts import client_context

from benchmarks.processes import on_core
from benchmarks.rounds import Sample
from benchmarks.stacks import Place, Stack

_BLOCK: Final = 1024 * 1024
_SECONDS: Final = 120


def measure_upload_and_download(place: Place, stack: Stack, size_bytes: int) -> Sample:
    """Upload a video of `size_bytes`, get it back, and delete it where that is possible.

    Returns MB/s and CPU ms per MB (10^6 bytes) of both servers together.
    """
    megabytes = size_bytes / 1e6
    with on_core(place.cores.client), closing(_connection(place, stack)) as connection:
        cpu, begin = stack.cpu_seconds(), time.perf_counter()
        video_id = _upload(connection, size_bytes)
        up_cpu, up = stack.cpu_seconds() - cpu, time.perf_counter() - begin

        cpu, begin = stack.cpu_seconds(), time.perf_counter()
        _download(connection, video_id, size_bytes)
        down_cpu, down = stack.cpu_seconds() - cpu, time.perf_counter() - begin
    return {
        "upload_rate": megabytes / up,
        "download_rate": megabytes / down,
        "upload_cpu": up_cpu * 1000 / megabytes,
        "download_cpu": down_cpu * 1000 / megabytes,
    }


def _connection(place: Place, stack: Stack) -> http.client.HTTPConnection:
    if stack.scheme == "http":
        return http.client.HTTPConnection(stack.gateway.address, timeout=_SECONDS)
    context = client_context(place.client())
    return http.client.HTTPSConnection(stack.gateway.address, context=context, timeout=_SECONDS)


def upload_small(place: Place, stack: Stack) -> str:
    """Store a video of one kilobyte, and return its ID."""
    with closing(_connection(place, stack)) as connection:
        return _upload(connection, 1024)


def _upload(connection: http.client.HTTPConnection, size_bytes: int) -> str:
    boundary = uuid.uuid4().hex
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="title"\r\n\r\nLarge\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="large.mp4"\r\n'
        "Content-Type: video/mp4\r\n\r\n"
    ).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()

    def form() -> Iterator[bytes]:
        yield head
        block = os.urandom(min(_BLOCK, size_bytes))
        for _ in range(size_bytes // len(block)):
            yield block
        yield tail

    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(len(head) + size_bytes + len(tail)),
    }
    connection.request("POST", "/videos", body=form(), headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 201:
        raise RuntimeError(f"The upload was answered with {answer.status}: {body!r}")
    return str(json.loads(body)["id"])


def _download(connection: http.client.HTTPConnection, video_id: str, size_bytes: int) -> None:
    connection.request("GET", f"/videos/{video_id}/source")
    answer = connection.getresponse()
    buffer, received = bytearray(_BLOCK), 0
    while count := answer.readinto(buffer):
        received += count
    if (answer.status, received) != (200, size_bytes):
        raise RuntimeError(f"The download was answered with {answer.status}, {received} bytes.")
