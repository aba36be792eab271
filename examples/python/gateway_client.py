"""A client of the gateway: uploads a video, follows its transcoding, fetches its thumbnail.

Usage: python gateway_client.py FOLDER HOST:PORT VIDEO
FOLDER is that of an identity which may upload, certs/client/uploader for one. The picture is
written beside the video.
"""

import asyncio
import ssl
import sys
import uuid
from pathlib import Path

import aiohttp


async def check(response: aiohttp.ClientResponse) -> None:
    """End with what the gateway has said, if that is an error (RFC 9457)."""
    if response.status >= 400:
        problem = await response.json(content_type=None)
        sys.exit(f"The gateway answers {response.status}: {problem['detail']}")


async def publish(session: aiohttp.ClientSession, video: Path) -> None:
    """Upload a video, wait until it is completed, and write its thumbnail beside it."""
    again = {"Idempotency-Key": f'"{uuid.uuid4()}"'}  # makes an upload safe to repeat
    with video.open("rb") as file:
        form = aiohttp.FormData({"title": video.stem, "file": file})
        async with session.post("/videos", data=form, headers=again) as response:
            address = response.headers["Location"]
    async with session.get(f"{address}/events") as events:
        async for line in events.content:  # server-sent events, one JSON object for each event
            if line.startswith(b"data: "):
                print(line.removeprefix(b"data: ").decode().rstrip())
    # Of a video that could not be transcoded it is 404, with the reason.
    async with session.get(f"{address}/thumbnail") as response:
        video.with_suffix(".jpg").write_bytes(await response.read())


async def main(folder: Path, address: str, video: Path) -> None:
    """Open a session that shows our certificate."""
    context = ssl.create_default_context(cafile=folder / "ca-certificate.crt")
    context.load_cert_chain(folder / "key-pair.pem")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    async with aiohttp.ClientSession(
        f"https://{address}",
        connector=aiohttp.TCPConnector(ssl=context),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60),
        raise_for_status=check,
    ) as session:
        await publish(session, video)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
