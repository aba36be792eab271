"""Two who verify with the files of identities as strictly as they can, with revocation lists."""

import ssl
import subprocess
from pathlib import Path


def openssl_says(folder: Path) -> str:
    """Return what `openssl verify` objects to, "" for nothing."""
    ended = subprocess.run(
        [
            *("openssl", "verify", "-x509_strict", "-crl_check"),
            *("-CAfile", folder / "ca-certificate.crt", "-CRLfile", folder / "revoked.crl"),
            *("-untrusted", folder / "certificate.crt", folder / "certificate.crt"),
        ],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (ended.returncode == 0) == (not ended.stderr)
    return ended.stderr


def context_of(home: Path, side: int) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_CRL_CHECK_LEAF
    context.load_verify_locations(home / "ca-certificate.crt")
    context.load_verify_locations(home / "revoked.crl")
    context.load_cert_chain(home / "key-pair.pem")
    return context


def handshake(*, server: Path, client: Path, name: str = "video-queue") -> None:
    """Let a client in at a server that demands a revocation list of the client's CA."""
    shake_hands(
        context_of(server, ssl.PROTOCOL_TLS_SERVER),
        context_of(client, ssl.PROTOCOL_TLS_CLIENT),
        name,
    )


def shake_hands(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str = "video-queue"
) -> ssl.SSLObject:
    """Finish a handshake in memory and return the server's side. Raises `ssl.SSLError`."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    client_side = client.wrap_bio(to_client, to_server, server_hostname=name)
    unfinished = [client_side, server_side]
    for _ in range(10):  # flights; TLS 1.3 needs three
        for side in unfinished.copy():
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            unfinished.remove(side)
    assert not unfinished
    return server_side
