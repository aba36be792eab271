"""Tries to upload a video from here: upload.py SERVICE TITLE certificate|none|plaintext FOLDER."""

import asyncio
import json
import sys
from pathlib import Path

from cryptography import x509

from demo_identities import identity_named
from impostors import Impostor, Outcome, upload_over_grpc, upload_over_http
from pki.authority import Issued


async def upload(service: str, title: str, how: str, folder: Path) -> Outcome:
    """Upload as the identity in `folder`, without it, or without TLS."""
    pair = (folder / "key-pair.pem").read_bytes()
    begin = pair.index(b"-----BEGIN CERTIFICATE-----")
    issued = Issued(x509.load_pem_x509_certificate(pair), pair[begin:], pair[:begin])
    client = Impostor(how, issued if how == "certificate" else None, speaks_tls=how != "plaintext")
    ca_pem = (folder / "ca-certificate.crt").read_bytes()
    if service == "gateway":
        return await upload_over_http("gateway:8443", ca_pem, client, title)
    return await upload_over_grpc(
        "video-queue:50051",
        ca_pem,
        client,
        title,
        for_whom=identity_named("client/uploader").uri,
    )


outcome = asyncio.run(upload(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4])))
print(json.dumps({"accepted": outcome.accepted, "words": outcome.words}))
