"""Is the certificate for the name that is dialled (RFC 9525)."""

from typing import Final

from mtls.certificates import CertificateError, Role, spiffe_id_of
from mtls.spiffe import SpiffeIdError

from cryptography import x509

from doctor.chain import Chain, join
from doctor.checks import Check, Finding, failed, note, ok, reissue, skipped
from doctor.names import address_of, covers, names_of


def _name(chain: Chain) -> Finding:
    names = names_of(chain.leaf)
    if not chain.name or Role.SERVER not in chain.roles:
        return skipped(f"no name is dialled here; its names: {names}")
    if covers(names, chain.name):
        return ok(f'"{chain.name}" is one of its names: {names}.')
    kind, cause = "DNS", f'It is not for "{chain.name}". Its names: {names}.'
    if address_of(chain.name):
        kind = "IP"
        if chain.name in names.dns:
            cause += " The address is there as a DNS name, which does not count for an address."
        elif not names.addresses:
            cause += " An address that is dialled has to be there as an IP name."
    return failed(
        cause,
        "Dial one of its names; or have it issued again with this extension: "
        f"subjectAltName = {kind}:{chain.name}",
    )


def _common_name(chain: Chain) -> Finding:
    names = names_of(chain.leaf)
    if chain.extension(x509.SubjectAlternativeName) is not None:
        return ok("It has a subjectAltName; the common name does not count.")
    cause = (
        f"It has no subjectAltName, only the common name {join(names.common) or '(none)'}, which "
        "no longer counts (RFC 9525, section 2). gRPC and older programs still fall back to it."
    )
    if Role.SERVER in chain.roles:
        host = chain.name or "HOST"
        return failed(cause, reissue(f"subjectAltName = DNS:{host}"))
    return note(cause, reissue("subjectAltName = URI:spiffe://TRUST-DOMAIN/NAME"))


def _spiffe(chain: Chain) -> Finding:
    try:
        return ok(str(spiffe_id_of(chain.leaf)))
    except (CertificateError, SpiffeIdError) as error:
        return note(
            f"It has no SPIFFE ID, which only programs that use SPIFFE need, such as mtls: {error}"
        )


NAME_CHECKS: Final = (
    Check("name", "It is for the name that is dialled", _name),
    Check("common_name", "It does not rely on the common name", _common_name),
    Check("spiffe", "It has a SPIFFE ID", _spiffe),
)
