"""The story that scripts/demo tells: who is let in, who is not, and why."""

import argparse
import asyncio
import contextlib
import hashlib
import json
import re
import signal
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import aiohttp
import av
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TextColumn
from rich.table import Table

from demo_certificates import show_renewal, steal_and_revoke
from demo_identities import IDENTITIES, identity_named
from impostors import Impostor, Outcome, impostors, upload_over_grpc, upload_over_http
from local_stack import OPEN, Service, Stack, opening, require_localhost, running_stack
from pki.identities import CLIENT, SERVER
from sample_video import make_sample_video

_WEB_UI_PORT: Final = 8080
UPLOADER: Final = identity_named("client/uploader")
GATEWAY: Final = identity_named("gateway")
# What a library puts around the error itself.
_NOISE: Final = re.compile(
    r"failed to connect to all addresses; last error: UNAVAILABLE: \S+ |"
    r"^\w+Error: (\[Errno 1\] \[SSL: \w+\] )?| \(_ssl\.c:\d+\)|"
    r"spiffe://[^/]+/|CERTIFICATE_VERIFY_FAILED: "
)
_USAGE: Final = {SERVER: "server", CLIENT: "client"}

Upload = Callable[[Impostor, str], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one client fared at one server: what it saw, and what the server said."""

    server: str
    client: str
    as_expected: bool
    client_saw: str
    server_said: str


def show_certificates(console: Console, stack: Stack) -> None:
    """List the identities, each with its own folder."""
    _heading(console, "1. Everyone has a certificate of its own")
    table = Table(box=SIMPLE_HEAD)
    for column in ("identity", "may be", "DNS names", "purpose"):
        table.add_column(column)
    for identity in IDENTITIES:
        usages = " + ".join(_USAGE[usage] for usage in identity.ekus)
        table.add_row(identity.name, usages, ", ".join(identity.dns_names), identity.purpose)
    console.print(table)
    console.print(f"   Each name is the path of a SPIFFE ID: {GATEWAY.uri}", highlight=False)
    console.print(f"   The files are in {stack.certs}\n")


def _heading(console: Console, text: str) -> None:
    console.print(text, style="bold", highlight=False)


async def send_a_video(console: Console, stack: Stack, gateway: Service) -> bool:
    """Upload a video, read it back, and have it transcoded; return whether all of it is right."""
    _heading(console, "3. A real video makes the round trip")
    path = stack.folder / "sample.mp4"
    await asyncio.to_thread(make_sample_video, path, width=1280, height=720)
    source = path.read_bytes()
    async with stack.session(UPLOADER.name, gateway) as session:
        form = aiohttp.FormData({"title": "Test picture"})
        form.add_field("file", source, filename=path.name, content_type="video/mp4")
        async with session.post("/videos", data=form) as response:
            video: dict[str, Any] = await response.json()
        console.print(f"   POST /videos: HTTP {response.status}, {len(source):,} bytes of MP4")
        console.print(f"   it belongs to {video['owner']}, its status is {video['status']}")
        async with session.get("/videos") as response:
            titles = [entry["title"] for entry in (await response.json())["videos"]]
        console.print(f"   GET /videos: {titles}")
        async with session.get(f"/videos/{video['id']}/source") as response:
            same = hashlib.sha256(await response.read()).digest() == hashlib.sha256(source).digest()
        console.print(f"   GET /videos/{{id}}/source: SHA-256 is {'the same' if same else 'OTHER'}")
        video = await watch(console, session, video["id"])
        console.print(f"   its status is {video['status']}\n")
        sound = await show_renditions(console, session, video, stack.folder)
    return same and sound


async def watch(console: Console, session: aiohttp.ClientSession, video_id: str) -> dict[str, Any]:
    """Follow the server-sent events of a video until its status is final; return it."""
    video: dict[str, Any] = {}
    with Progress(TextColumn("  "), *Progress.get_default_columns(), console=console) as progress:
        task = progress.add_task("GET /videos/{id}/events", total=100)
        async with session.get(f"/videos/{video_id}/events") as response:
            async for line in response.content:
                if line.startswith(b"data: "):
                    video = json.loads(line.removeprefix(b"data: "))
                    progress.update(task, completed=video["progress_percent"])
    return video


async def show_renditions(
    console: Console, session: aiohttp.ClientSession, video: dict[str, Any], folder: Path
) -> bool:
    """Fetch every rendition and open it; return whether each is what it is said to be."""
    _heading(console, "4. What the transcoder made of it")
    table = Table(box=SIMPLE_HEAD)
    for column in ("rendition", "bytes", "opened: codecs", "size", "seconds"):
        table.add_column(column)
    sound = bool(video["renditions"])
    for rendition in video["renditions"]:
        path = folder / rendition["name"]
        async with session.get(rendition["url"]) as response:
            path.write_bytes(await response.read())
        found = await asyncio.to_thread(probe, path)
        sound = sound and (found.width, found.height) == (rendition["width"], rendition["height"])
        size = f"{found.width}x{found.height}"
        codecs = ", ".join(found.codecs)
        table.add_row(rendition["name"], f"{path.stat().st_size:,}", codecs, size, found.seconds)
    console.print(table)
    return sound


@dataclass(frozen=True, slots=True)
class Probed:
    """What FFmpeg finds in a file."""

    codecs: list[str]
    width: int
    height: int
    seconds: str


def probe(path: Path) -> Probed:
    """Open a media file and decode its first picture."""
    with av.open(path) as container:
        picture = next(container.decode(video=0))
        codecs = [
            stream.codec_context.name for stream in container.streams if stream.type != "data"
        ]
        seconds = f"{container.duration / av.time_base:.2f}" if container.duration else ""
        return Probed(codecs, picture.width, picture.height, seconds)


async def try_everyone(server: Service, upload: Upload, clients: list[Impostor]) -> list[Verdict]:
    """Let each client try to upload, one after the other."""
    return [await _try(server, upload, client) for client in clients]


async def _try(server: Service, upload: Upload, client: Impostor) -> Verdict:
    since = server.log.position()
    outcome = await upload(client, f"sent by: {client.name}")
    if not client.reason:
        said = "served" if outcome.accepted else "refused"
        return Verdict(server.name, client.name, outcome.accepted, outcome.words, said)
    event = await asyncio.to_thread(
        server.log.wait_for,
        lambda event: event["event"] in {"handshake.refused", "call.denied"},
        since=since,
    )
    reason = event.get("reason", "not_listed")
    error = event.get("error") or event.get("rule")
    expected = not outcome.accepted and reason == client.reason
    return Verdict(server.name, client.name, expected, outcome.words, f"{reason}: {error}")


def show_verdicts(console: Console, verdicts: list[Verdict]) -> None:
    """Print a table for each server: what every client saw beside what the server said."""
    _heading(console, "5. Who is let in, and who is not")
    for server, group in groupby(verdicts, key=lambda verdict: verdict.server):
        table = Table(box=SIMPLE_HEAD)
        for column, ratio in ((f"at the {server}", 5), ("the client saw", 5), ("the log says", 6)):
            table.add_column(column, overflow="fold", ratio=ratio)
        for verdict in group:
            mark = "[green]✓[/green]" if verdict.as_expected else "[red]✗ WRONG[/red]"
            saw, said = map(_in_brief, (verdict.client_saw, verdict.server_said))
            table.add_row(f"{mark} {verdict.client}", escape(saw), escape(said))
        console.print(table)
    console.print("   docs/what-can-go-wrong.md has every error text in full.\n")


def _in_brief(error: str) -> str:
    """Leave out what says nothing about the cause: addresses, class names, advice."""
    return _NOISE.sub("", error.partition(". ")[0])


async def tell(console: Console, stack: Stack, queue: Service, gateway: Service) -> bool:
    """Tell the story; return whether everything was as it must be."""
    show_certificates(console, stack)
    _heading(console, "2. Three services, and nothing but mutual TLS between them")
    console.print(f"   gateway at https://{gateway.address}, for people and programs")
    console.print(f"   video-queue at {queue.address} (gRPC), for the gateway and the transcoder")
    console.print("   transcoder, which calls the queue and listens nowhere\n")
    same = await send_a_video(console, stack, gateway)

    async def to_queue(client: Impostor, title: str) -> Outcome:
        ca_pem = stack.authority.ca_pem
        return await upload_over_grpc(queue.address, ca_pem, client, title, for_whom=UPLOADER.uri)

    async def to_gateway(client: Impostor, title: str) -> Outcome:
        return await upload_over_http(gateway.address, stack.authority.ca_pem, client, title)

    verdicts = []
    for server, upload, identity, unlisted in (
        (queue, to_queue, GATEWAY, "client/uploader"),
        (gateway, to_gateway, UPLOADER, "client/viewer"),
    ):
        honest = Impostor(f"genuine {identity.name}", stack.authority.issue(identity))
        clients = [honest, *impostors(stack.authority, identity.name, unlisted)]
        stolen = await steal_and_revoke(stack, server, identity)
        clients.append(Impostor("stolen key, revoked", stolen, "revoked"))
        verdicts += await try_everyone(server, upload, clients)
    show_verdicts(console, verdicts)
    renewed = await show_renewal(console, stack, gateway, UPLOADER)
    good = same and renewed and all(verdict.as_expected for verdict in verdicts)
    refused = sum(verdict.as_expected for verdict in verdicts) - 2
    console.print(
        f"{refused} of {len(verdicts) - 2} impostors were refused, each for its own reason."
        if good
        else "[red]Something did not end as expected: see ✗ and the lines above.[/red]"
    )
    return good


def start_web_ui(stack: Stack, queue: Service, gateway: Service) -> Service:
    """Start the console at port 8080, or at any other if that is taken."""
    with socket.socket() as trying:
        trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port = 0 if trying.connect_ex(("127.0.0.1", _WEB_UI_PORT)) == 0 else _WEB_UI_PORT
    return stack.start_console(
        gateway.address,
        queue.address,
        listen=f"127.0.0.1:{port}",
        CONSOLE_CERTS_COMMAND=f"scripts/bootstrap_certs.py --folder {stack.certs} --localhost",
    )


def show_how_to_go_on(console: Console, stack: Stack, gateway: Service, web_ui: Service) -> None:
    """Print command lines to paste, and last what to open in a browser."""
    certs = stack.certs / UPLOADER.name
    curl = f"curl --cacert {certs}/ca-certificate.crt"
    card = f"--cert {certs}/certificate.crt --key {certs}/private-key.pem"
    url = f"https://{gateway.address}/videos"
    console.print("\nThe services are still running. Try them:\n", style="bold")
    for line in (
        f"{curl} {card} {url}",
        f"{curl} {card} -F title=Mine -F file=@{stack.folder}/sample.mp4 {url}",
        f"{curl} {url}    # no certificate",
    ):
        console.print(line, soft_wrap=True, highlight=False)
    console.print(f"\nThe logs are {stack.folder}/*.log, one JSON object a line.", highlight=False)
    console.print("\nCtrl-C ends them and removes their files. In a browser:\n", style="bold")
    console.print(f"{OPEN}{opening(web_ui)}", soft_wrap=True, highlight=False)


async def wait_for_ctrl_c() -> None:
    """Return when the process is asked to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def main() -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the services running at the end")
    options = parser.parse_args()
    require_localhost()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # clean up, too
    console = Console()
    with (
        tempfile.TemporaryDirectory(prefix="mtls-demo-") as folder,
        contextlib.suppress(KeyboardInterrupt),
        running_stack(Path(folder), impostors=True) as (stack, queue, gateway),
        stack.start_transcoder(queue.address),
        stack.start_renewer("--impostors"),
    ):
        good = asyncio.run(tell(console, stack, queue, gateway))
        if options.keep:
            with start_web_ui(stack, queue, gateway) as web_ui:
                show_how_to_go_on(console, stack, gateway, web_ui)
                asyncio.run(wait_for_ctrl_c())
        return 0 if good else 1
    return 130


if __name__ == "__main__":
    sys.exit(main())
