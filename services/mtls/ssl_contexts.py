"""TLS contexts for HTTP: who may connect to us, and whom we connect to."""

import ssl
from collections.abc import Callable
from functools import partial

from mtls.identity import Identity
from mtls.pem_pipe import readable
from mtls.refusals import Refusal
from mtls.reporting.events import count_accepted, report_refusal
from mtls.reporting.tls_alerts import explain_refusals


def server_context(
    identity: Identity,
    *,
    endpoint: str = "http",
    report: Callable[[str, Refusal], None] = report_refusal,
) -> ssl.SSLContext:
    """Return a context that shows `identity` and lets in only clients of its CA.

    `endpoint` is the name under which its handshakes are counted and reported.
    """
    context = _server_context(identity)
    explain_refusals(
        context,
        _server_context(identity),
        refused=partial(report, endpoint),
        accepted=partial(count_accepted, endpoint),
    )
    return context


def _server_context(identity: Identity) -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_SERVER, identity, ("http/1.1",))
    context.verify_mode = ssl.CERT_REQUIRED
    # No tickets, so no resumed sessions: every connection is verified in full.
    context.num_tickets = 0
    return context


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


def _context(protocol: int, identity: Identity, protocols: tuple[str, ...]) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # RFC 5280 to the letter, as Python 3.13 does by default and older versions do not.
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=identity.ca_pem.decode("ascii"))
    with readable(identity.chain_pem) as chain, readable(identity.key_pem) as key:
        context.load_cert_chain(chain, key)
    if identity.revocations:
        # The peer's issuer must have a list that is up to date, and the peer must not be on it. The
        # issuing CAs are not looked up: only the root could revoke them, and its key is offline.
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        with readable(identity.revocations.pem) as lists:
            context.load_verify_locations(cafile=lists)
    context.set_alpn_protocols(protocols)
    return context
