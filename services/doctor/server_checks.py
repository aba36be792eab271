"""The server's certificate: every step by itself, and the verdict of OpenSSL in the handshake."""

from typing import Final

from doctor.chain import describe
from doctor.checks import Check, Finding, failed, ok, skipped
from doctor.codes import alert_named
from doctor.endpoint import Endpoint
from doctor.messages import alerts
from doctor.watch import Direction


def _presented(endpoint: Endpoint) -> Finding:
    if endpoint.damage:
        return failed(
            f"The server's chain cannot be read: {endpoint.damage}.",
            "Have the server's certificate issued again.",
        )
    if endpoint.server.certificates:
        return ok(f"Certificates: {len(endpoint.server.certificates)}.")
    said = [alert_named(code) for code in alerts(endpoint.seen.messages, Direction.RECEIVED)]
    why = f"alert {said[0].name}, {said[0].meaning}" if said else f"{endpoint.seen.ending}"
    return failed(
        f"The handshake ended before the server had presented one ({why}).", "See the server's log."
    )


def _verified(endpoint: Endpoint) -> Finding:
    seen = endpoint.seen
    if seen.verdict:
        return failed(
            f"OpenSSL refuses it: {seen.verdict.rstrip('.')}. We sent it nothing more.",
            "Fix what failed above. If nothing failed there, this is the cause.",
        )
    if not seen.has_verified:
        return skipped(f"the handshake ended before it: {seen.error or seen.ending}")
    return ok("OpenSSL accepts it.")


PRESENTED: Final = (
    Check("server.presented", "It presents a certificate", _presented, ("tls.version",)),
)


def _revoked(endpoint: Endpoint) -> Finding:
    for certificate in endpoint.server.certificates:
        for each in endpoint.plan.revocation_lists:
            if each.issuer == certificate.issuer and (
                each.get_revoked_certificate_by_serial_number(certificate.serial_number)
            ):
                return failed(
                    f"{describe(certificate)} is on the revocation list in our folder.",
                    "Have a new certificate issued for the server, with a new key.",
                )
    return ok("None of its certificates is on the revocation list in our folder.")


VERIFIED: Final = (
    Check(
        "server.verified",
        "It is verified in the handshake",
        _verified,
        ("server.presented", "files.format"),
    ),
)
# Where our folder has such a list.
REVOKED: Final = (
    Check("server.revoked", "It has not been revoked", _revoked, ("server.presented",)),
)
