"""What a certificate may be used for (RFC 5280, sections 4.2.1.3 and 4.2.1.12)."""

from collections.abc import Iterator
from typing import Final

from mtls.certificates import Role

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from doctor.chain import Chain, describe, join
from doctor.checks import Check, Finding, failed, note, ok, reissue

_ANY: Final = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
OID: Final = {
    Role.SERVER: ExtendedKeyUsageOID.SERVER_AUTH,
    Role.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH,
}


def _purpose(chain: Chain) -> Finding:
    usages = chain.extension(x509.ExtendedKeyUsage)
    for role in sorted(chain.roles, key=lambda role: role.value):
        if usages is not None and OID[role] not in usages:
            return failed(
                f"The certificate's extended key usage lacks {role.value}. "
                f"It has: {join(_usage_names(usages))}. "
                f"The other side refuses it as a {role.name.lower()}'s.",
                reissue(f"extendedKeyUsage = {_wanted(chain)}"),
            )
        for authority in chain.authorities:
            limits = chain.extension(x509.ExtendedKeyUsage, authority)
            if limits is not None and OID[role] not in limits:
                return failed(
                    f"{describe(authority)} may only issue for: {join(_usage_names(limits))}; "
                    f"this leaf is for {role.value}."
                    + (
                        " OpenSSL does not take anyExtendedKeyUsage for it."
                        if _ANY in limits
                        else ""
                    ),
                    f"Have the leaf issued by a CA that may issue for {role.value}.",
                )
    if usages is None:
        return note(
            "The leaf has no extended key usage. TLS libraries accept that for any purpose "
            "(RFC 5280, section 4.2.1.12), so a server's certificate is a client's too; "
            "careful programs, mtls among them, refuse it.",
            reissue(f"extendedKeyUsage = {_wanted(chain)}"),
        )
    return ok(join(_usage_names(usages)))


def _wanted(chain: Chain) -> str:
    return ", ".join(sorted(role.value for role in chain.roles)) or "serverAuth, clientAuth"


def _usage_names(usages: x509.ExtendedKeyUsage) -> Iterator[str]:
    known = {oid: role.value for role, oid in OID.items()} | {_ANY: "anyExtendedKeyUsage"}
    return (known.get(usage, usage.dotted_string) for usage in usages)


def _key_usage(chain: Chain) -> Finding:
    usage = chain.extension(x509.KeyUsage)
    if usage is None:
        return ok("Not limited by a keyUsage extension.")
    if usage.digital_signature:
        return ok("digitalSignature")
    cause = (
        "keyUsage lacks digitalSignature, and signing is all that a leaf does in TLS 1.3 "
        "(RFC 8446, section 4.4.2.2)."
    )
    fix = reissue("keyUsage = critical, digitalSignature")
    is_enough_for_openssl = usage.key_agreement or (
        usage.key_encipherment and Role.CLIENT not in chain.roles
    )
    if is_enough_for_openssl:
        return note(f"{cause} OpenSSL accepts it all the same; gRPC and browsers do not.", fix)
    return failed(cause, fix)


PURPOSE_CHECKS: Final = (
    Check("purpose", "The extended key usage fits the role", _purpose),
    Check("key_usage", "The key may sign a handshake", _key_usage),
)
