"""Clients that must be turned away, and the honest ones that differ from them in one fact.

They speak TLS as the console's intruders do: an impostor does not check its own certificate before
it shows it.
"""

import io
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import mtls  # noqa: F401  before grpc

import aiohttp
import grpc.aio

from console import attacks
from console.attacks import Attacker
from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority, Issued
from pki.impostors import MAKERS
from videoqueue_api.v1 import video_queue_pb2 as api
from videoqueue_api.v1 import video_queue_pb2_grpc
from videoqueue_client.sending import Chunk, send_file

_TIMEOUT_SECONDS: Final = 30
_BYTES: Final = b"not much of a video"


@dataclass(frozen=True, slots=True)
class Impostor:
    """What a client shows to the server: `certificate` is None for a client that has none.

    `reason` is why it must be refused: a code of mtls.refusals, or `not_listed` when the handshake
    succeeds and the policy says no.
    """

    name: str
    certificate: Issued | None
    reason: str = ""
    speaks_tls: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended, in the words that the client's own library has for it."""

    accepted: bool
    words: str


def impostors(authority: Authority, name: str, unlisted: str) -> tuple[Impostor, ...]:
    """Return one of each kind, all pretending to be the identity `name`.

    `unlisted` is an identity that is genuine, and not allowed to do what `name` may do.
    """
    identity = identity_named(name)

    def made(kind: str) -> Issued:
        return MAKERS[kind](authority, IDENTITIES, identity)

    return (
        Impostor("no certificate", None, "no_certificate"),
        Impostor("another CA, same names", made("same-names"), "unknown_ca"),
        Impostor("expired certificate", made("expired"), "expired"),
        Impostor("not yet valid", made("not-yet-valid"), "not_yet_valid"),
        Impostor("server certificate", made("server-only"), "wrong_purpose"),
        Impostor(f"genuine {unlisted}", authority.issue(identity_named(unlisted)), "not_listed"),
        Impostor("plaintext", None, "plaintext", speaks_tls=False),
    )


async def upload_over_grpc(
    address: str, ca_pem: bytes, client: Impostor, title: str, *, for_whom: str
) -> Outcome:
    """Try to upload a video to the queue at `address` (host:port) as `client`."""
    async with attacks.grpc_channel(address, ca_pem, _attacker(client)) as channel:
        call = video_queue_pb2_grpc.VideoQueueStub(channel).Upload(
            timeout=_TIMEOUT_SECONDS, metadata=(("on-behalf-of", for_whom),)
        )
        metadata = api.UploadMetadata(title=title, content_type="video/mp4")
        try:
            await send_file(
                call,
                api.UploadRequest,
                metadata,
                _chunks(),
                go_ahead_seconds=_TIMEOUT_SECONDS,
                step_seconds=_TIMEOUT_SECONDS,
            )
        except grpc.aio.AioRpcError as error:
            return Outcome(accepted=False, words=f"{error.code().name}: {error.details()}")
    return Outcome(accepted=True, words="OK")


async def _chunks() -> AsyncIterator[Chunk]:
    yield Chunk(_BYTES, is_last=True)


async def upload_over_http(
    address: str, ca_pem: bytes, client: Impostor, title: str, content: bytes = _BYTES
) -> Outcome:
    """Try to upload a video to the gateway at `address` (host:port) as `client`.

    The body waits for the server's go-ahead (RFC 9110, section 10.1.1). A client that is still
    writing when the alert comes hears of it nothing but "Can not write request body".
    """
    form = aiohttp.FormData({"title": title})
    form.add_field("file", io.BytesIO(content), filename="video.mp4", content_type="video/mp4")
    scheme = "https" if client.speaks_tls else "http"
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(
                f"{scheme}://{address}/videos",
                data=form,
                expect100=True,
                ssl=tls_context(ca_pem, client),
            ) as response,
        ):
            return Outcome(
                response.status == 201, f"HTTP {response.status}: {await _say(response)}"
            )
    except aiohttp.ClientError as error:
        return Outcome(accepted=False, words=f"{type(error).__name__}: {error}")


async def _say(response: aiohttp.ClientResponse) -> str:
    problem = await response.json(content_type=None)
    return str(problem.get("detail", "")) or response.reason or ""


def tls_context(ca_pem: bytes, client: Impostor) -> ssl.SSLContext:
    """Return the TLS of a client that verifies the server and shows what it has."""
    return attacks.tls_context(ca_pem, _attacker(client))


def _attacker(client: Impostor) -> Attacker:
    issued = client.certificate
    return Attacker(
        issued.chain_pem if issued else b"",
        issued.key_pem if issued else b"",
        speaks_tls=client.speaks_tls,
    )
