"""TLS contexts of OpenSSL, for HTTP: who may connect to us, and whom we connect to."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

from mtls.certificates import OP_NO_RX_CERTIFICATE_COMPRESSION
from mtls.identity import Identity, IdentityError

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding


def server_context(
    identity: Identity, *, shown: tuple[bytes, bytes] | None = None
) -> ssl.SSLContext:
    """Return a context that shows `identity` and lets in only clients of its CA.

    `shown` are another chain and key to show, for a rehearsal.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, identity, ("http/1.1",), shown)
    context.verify_mode = ssl.CERT_REQUIRED
    # Some clients send their leaf alone (Chromium, `openssl s_client -cert`): what they leave out
    # is ours too. A CA that is not a root is a link to one, and nobody's anchor, for as long as
    # VERIFY_X509_PARTIAL_CHAIN is not set.
    if links := _issuing_cas(identity):
        context.load_verify_locations(cadata=links)
    # No tickets, so no resumed sessions: every connection is verified in full.
    context.num_tickets = 0
    return context


def _issuing_cas(identity: Identity) -> bytes:
    """Return the CAs of our own chain in DER: without a root, which would be trusted."""
    chain = x509.load_pem_x509_certificates(identity.chain_pem)[1:]
    return b"".join(ca.public_bytes(Encoding.DER) for ca in chain if ca.issuer != ca.subject)


def client_context(
    identity: Identity, *, protocols: tuple[str, ...] = ("http/1.1",)
) -> ssl.SSLContext:
    """Return a context that shows `identity` and accepts only servers of its CA, by DNS name.

    `protocols` are offered for the time after the handshake (ALPN, RFC 7301).
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, identity, protocols)
    # RFC 9525, section 6.1: a name counts only if it stands in the subjectAltName.
    context.hostname_checks_common_name = False
    return context


def _context(
    protocol: int,
    identity: Identity,
    protocols: tuple[str, ...],
    shown: tuple[bytes, bytes] | None = None,
) -> ssl.SSLContext:
    chain_pem, key_pem = shown or (identity.chain_pem, identity.key_pem)
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.options |= OP_NO_RX_CERTIFICATE_COMPRESSION
    # RFC 5280 to the letter, as Python 3.13 does by default and older versions do not.
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=identity.ca_pem.decode("ascii"))
    with pem_path(chain_pem) as chain, pem_path(key_pem) as key:
        try:
            context.load_cert_chain(chain, key)
        except ssl.SSLError as error:
            raise IdentityError(
                f"OpenSSL does not take the certificate ({error.reason}): have it issued again, "
                "with a key that is long enough (ECDSA P-256, RSA of 2,048 bits)."
            ) from error
    if identity.revocations:
        # The peer's issuer must have a list that is up to date, and the peer must not be on it. The
        # issuing CAs are not looked up: only the root could revoke them, and its key is offline.
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        with pem_path(identity.revocations.pem) as lists:
            context.load_verify_locations(cafile=lists)
    context.set_alpn_protocols(protocols)
    return context


@contextmanager
def pem_path(content: bytes) -> Iterator[str]:
    """Yield a path from which `content` can be read once: OpenSSL reads files only.

    It is a pipe, so that the key touches no disk, and what OpenSSL reads is what was checked: a
    file is read again at its own moment, when a renewal may have replaced it.
    """
    read_end, write_end = os.pipe()
    # A pipe may hold as little as a page (pipe(7), "Pipe capacity"): then the writer has to wait.
    writer = Thread(target=_write, args=(write_end, content), name="pem-pipe")
    writer.start()
    try:
        yield f"/dev/fd/{read_end}"
    finally:
        os.close(read_end)
        writer.join()


def _write(write_end: int, content: bytes) -> None:
    with suppress(BrokenPipeError), open(write_end, "wb") as pipe:
        pipe.write(content)
