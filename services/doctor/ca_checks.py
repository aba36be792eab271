"""What makes a certificate a CA, and what limits it (RFC 5280, section 4.2.1)."""

from typing import Final

from cryptography import x509

from doctor.chain import Chain, describe, join, signs_itself
from doctor.checks import Check, Finding, failed, note, ok
from doctor.names import violations

# With the same key and subject, what the CA has already issued stays valid.
_AGAIN: Final = (
    "Make the CA's certificate again with its present key and this extension: {}. For a root, type "
    "the following; an issuing CA's is signed by the CA above it."
)
ROOT_AGAIN: Final = (
    "printf 'basicConstraints=critical,CA:TRUE\\nkeyUsage=critical,keyCertSign,cRLSign\\n"
    "subjectKeyIdentifier=hash\\n' > ca.ext && "
    "openssl x509 -in ca.crt -signkey ca.key -clrext -days 3650 -extfile ca.ext -out new-ca.crt"
)
_NO_CA: Final = "No CA is involved: nothing above the leaf was found."


def _again(extension: str) -> tuple[str, str]:
    return _AGAIN.format(extension), ROOT_AGAIN


def _basic_constraints(chain: Chain) -> Finding:
    for authority in chain.authorities:
        constraints = chain.extension(x509.BasicConstraints, authority)
        if constraints is None or not constraints.ca:
            what = "has no basicConstraints" if constraints is None else "says CA:FALSE"
            found = note if _is_old_ca(chain, authority) else failed
            return found(
                f"{describe(authority)} {what}, so it may issue nothing (RFC 5280, 4.2.1.9).",
                *_again("basicConstraints = critical, CA:TRUE"),
            )
    own = chain.extension(x509.BasicConstraints)
    if own is not None and own.ca:
        return note(
            "The leaf itself says CA:TRUE: a holder of its key can issue certificates.",
            "Have it issued again with this extension: basicConstraints = critical, CA:FALSE",
        )
    return ok(_count(chain))


def _is_old_ca(chain: Chain, authority: x509.Certificate) -> bool:
    """Whether it is a root without basicConstraints, which OpenSSL takes when it is not strict."""
    if (
        chain.is_strict
        or authority not in chain.roots
        or chain.extension(x509.BasicConstraints, authority) is not None
    ):
        return False
    usage = chain.extension(x509.KeyUsage, authority)
    if usage is not None:
        return usage.key_cert_sign
    return authority.version is x509.Version.v1 and signs_itself(authority)


def _count(chain: Chain) -> str:
    if not chain.authorities:
        return _NO_CA
    return f"CAs on the path: {join(map(describe, chain.authorities))}."


def _key_usage(chain: Chain) -> Finding:
    for authority in chain.authorities:
        usage = chain.extension(x509.KeyUsage, authority)
        fix = _again("keyUsage = critical, keyCertSign, cRLSign")
        if usage is None:
            found = failed if chain.is_strict else note
            return found(
                f"{describe(authority)} has no keyUsage extension. Python 3.13 refuses it "
                '("CA cert does not include key usage extension"); gRPC, curl and older Python do '
                "not. The recipe `openssl req -x509 -extensions v3_ca` makes such CAs.",
                *fix,
            )
        if not usage.key_cert_sign:
            return failed(f"{describe(authority)} may not sign certificates: keyCertSign.", *fix)
    return ok("keyCertSign" if chain.authorities else _NO_CA)


def _path_length(chain: Chain) -> Finding:
    for index, authority in enumerate(chain.authorities):
        # A CA's own certificate under its own name does not count (RFC 5280, section 4.2.1.9).
        below = sum(each.subject != each.issuer for each in chain.authorities[:index])
        constraints = chain.extension(x509.BasicConstraints, authority)
        limit = constraints.path_length if constraints else None
        if limit is not None and below > limit:
            return failed(
                f"{describe(authority)} allows {limit} CAs below it, and there are {below}.",
                "Have the leaf issued by a CA that is high enough, or make this CA's certificate "
                f"again with this extension: basicConstraints = critical, CA:TRUE, pathlen:{below}",
            )
    return ok("No limit is exceeded." if chain.authorities else _NO_CA)


def _name_constraints(chain: Chain) -> Finding:
    notes = []
    for above, authority in enumerate(chain.authorities, 1):
        constraints = chain.extension(x509.NameConstraints, authority)
        if constraints is None:
            continue
        for below in chain.path[:above]:
            if below is not chain.leaf and below.subject == below.issuer:
                continue  # RFC 5280, section 6.1.3 (b)
            if wrong := list(violations(below, constraints)):
                whose = "" if below is chain.leaf else f" of {describe(below)}"
                return failed(
                    f"{describe(authority)} may not issue for these names{whose}: {join(wrong)}.",
                    "Have it issued with permitted names only, or by another CA.",
                )
        permitted = constraints.permitted_subtrees or ()
        if any(isinstance(tree, x509.IPAddress) for tree in permitted):
            notes.append(
                f"{describe(authority)} limits IP addresses. OpenSSL can do that; gRPC (BoringSSL) "
                'refuses such a chain: "unsupported name constraint type".'
            )
    return note(" ".join(notes)) if notes else ok("The leaf's names are permitted.")


CA_CHECKS: Final = (
    Check("ca_basic_constraints", "Every CA on the path is a CA", _basic_constraints),
    Check("ca_key_usage", "Every CA may sign certificates", _key_usage),
    Check("ca_path_length", "No CA has more CAs below it than it allows", _path_length),
    Check("ca_name_constraints", "Every CA may issue for the leaf's names", _name_constraints),
)
