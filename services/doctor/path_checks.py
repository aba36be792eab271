"""How a certificate leads to a root that is trusted."""

import shlex
from itertools import pairwise
from typing import Final

from mtls.certificates import extension_of

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from doctor.chain import Chain, describe, is_issued_by, is_named_issuer, join, signs_itself
from doctor.checks import Check, Finding, failed, note, ok, skipped


def _order(chain: Chain) -> Finding:
    issuers = chain.certificates[1:]
    if any(is_issued_by(other, chain.leaf) for other in issuers if other != chain.leaf):
        usage = chain.extension(x509.KeyUsage)
        found = failed if usage is not None and not usage.digital_signature else note
        return found(
            f"The first certificate, {describe(chain.leaf)}, is the issuer of another. "
            "The leaf comes first (RFC 8446, section 4.4.2).",
            "Write the file again: the leaf, then its issuer, and so on.",
            "cat leaf.crt issuing-ca.crt > chain.crt",
        )
    if not all(is_issued_by(subject, issuer) for subject, issuer in pairwise(chain.certificates)):
        return note(
            f"Each certificate should be followed by its issuer, but here: {_listed(chain)}. "
            "OpenSSL and gRPC sort that out; other libraries need not (RFC 5246, section 7.4.2).",
            "Write the file again: the leaf, then its issuer, and so on, and nothing else.",
            "cat leaf.crt issuing-ca.crt > chain.crt",
        )
    if issuers and is_issued_by(issuers[-1], issuers[-1]):
        return note("The root is sent too. It is not needed: the other side must have it already.")
    return ok(_listed(chain))


def _listed(chain: Chain) -> str:
    return join(map(describe, chain.certificates))


def _reaches_root(chain: Chain) -> Finding:
    if not chain.roots:
        return skipped("no CA to compare with: give it with --ca")
    last = chain.path[-1]
    issuer = f'"{last.issuer.rfc4514_string()}"'
    if signer := _signer_that_is_not_named(chain):
        return failed(
            f"The key of {describe(signer)} signed {describe(last)}, whose authorityKeyIdentifier "
            "names another certificate: the CA's certificate was made again, with another "
            "subjectKeyIdentifier or serial number. OpenSSL finds no issuer.",
            f"Have {describe(last)} issued again, or give the CA certificate that it names.",
            "openssl x509 -in chain.crt -noout -ext authorityKeyIdentifier; "
            "openssl x509 -in ca.crt -noout -ext subjectKeyIdentifier",
        )
    if signs_itself(last):
        if last in chain.roots:
            return ok(f"It ends at {describe(last)}.")
        cause = f"It ends at {describe(last)}, which signs itself and is not one of the CAs given."
        if any(root.subject == last.subject for root in chain.roots):
            cause += " One of the same name is, with another key: the CA was made again."
        return _foreign(chain, cause)
    if last in chain.roots:
        return failed(
            f"It ends at {describe(last)}, which is in the CA file but does not sign itself. "
            "Some programs stop there (curl, Python 3.13 by default), others want the root.",
            f"Put the certificate of {issuer} into the CA file.",
            "cat root-ca.crt issuing-ca.crt > ca.crt",
        )
    if any(root.subject == last.issuer for root in chain.roots):
        return _foreign(
            chain,
            f"{describe(last)} names {issuer} as its issuer, but the key of the CA of that name "
            "that was given did not sign it: the CA was made again, or it is another CA.",
        )
    return failed(
        f"The certificate of {issuer}, which issued {describe(last)}, is missing: "
        "an incomplete chain, or a certificate of another CA.",
        f"Add the issuing CA after the leaf in {chain.source}. If {issuer} is a CA that you do "
        "not know, the certificate is not from yours.",
        _fetch_issuer(last) or "cat leaf.crt issuing-ca.crt > chain.crt",
    )


def _signer_that_is_not_named(chain: Chain) -> x509.Certificate | None:
    """Return the certificate whose key signed the last of the path, if identifiers hide it."""
    last = chain.path[-1]
    known = [*chain.roots, *chain.certificates]
    signers = [each for each in known if is_issued_by(last, each)]
    if any(is_named_issuer(last, each) for each in signers):
        return None
    return next(iter(signers), None)


def _foreign(chain: Chain, cause: str) -> Finding:
    given = join(map(describe, chain.roots))
    return failed(
        f"{cause} The CAs given: {given}.",
        f"Have the certificate of {chain.source} issued again by the present CA, or trust the CA "
        "that issued it, if it is the right one: compare the fingerprints with its owner.",
        "openssl x509 -in ca.crt -noout -subject -fingerprint -sha256",
    )


def _fetch_issuer(certificate: x509.Certificate) -> str:
    """Return the command that fetches the issuer's certificate, if the subject says from where."""
    for description in extension_of(certificate, x509.AuthorityInformationAccess) or []:
        location = description.access_location
        if (
            description.access_method == AuthorityInformationAccessOID.CA_ISSUERS
            and isinstance(location, x509.UniformResourceIdentifier)
            and location.value.startswith(("http://", "https://"))
        ):
            address = shlex.quote(location.value)  # the maker of the certificate chose it
            return f"curl -s {address} | openssl x509 -inform DER >> chain.crt"
    return ""


PATH_CHECKS: Final = (
    Check("order", "The leaf comes first, and after each certificate its issuer", _order),
    Check("root", "The chain is complete and reaches the CA given", _reaches_root),
)
