"""What can be wrong with the files, before the certificates in them are examined."""

import datetime as dt
import os
import shlex
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID

from doctor.checks import Check, Finding, failed, note, ok, skipped
from doctor.files import CERTIFICATE, PRIVATE_KEY, File, Files, labels, what_it_is

# What is often given in place of a certificate or a key, and what to do.
_MISTAKEN: Final = {
    "CERTIFICATE REQUEST": "a request for a certificate: send it to the CA, which gives you one",
    "NEW CERTIFICATE REQUEST": "a request for a certificate: send it to the CA",
    "TRUSTED CERTIFICATE": "OpenSSL's own format: convert it with `openssl x509 -in ... -out ...`",
    "PUBLIC KEY": "the public half of a key: the private half is needed",
    "OPENSSH PRIVATE KEY": "an SSH key: convert it with `ssh-keygen -p -m PKCS8 -f ...`",
    "PKCS7": "a PKCS #7 bundle: convert it with `openssl pkcs7 -print_certs`",
    "X509 CRL": "a list of revoked certificates",
    "EC PARAMETERS": "the name of a curve, without a key",
}


_NO_KEY: Final = "no key was given: --key"


def _readable(files: Files) -> Finding:
    for file in files.distinct:
        if file.problem:
            return failed(
                f"{file.path} cannot be read: {file.problem}.",
                "Give the path of a file that you may read; see what is there:",
                f"ls -la {shlex.quote(str(file.path.parent))}",
            )
    return ok(", ".join(str(file.path) for file in files.distinct))


def _pem(files: Files) -> Finding:
    if files.is_pkcs12:
        return _pkcs12(files)
    if _is_swapped(files):
        return failed(
            f"{files.certificate.path} holds the key and {files.key.path} the certificate.",
            "Swap them: --cert takes the certificate, --key the private key.",
        )
    for file, wanted in _wanted(files):
        if not any(
            label.endswith(wanted) and label not in _MISTAKEN for label in labels(file.content)
        ):
            return _no_such_block(file, wanted)
    try:
        count = len(files.certificates)
        _ = files.ca and files.roots
    except ValueError as error:
        return failed(
            f"A certificate is damaged: {error}.", "Copy the file again from where it was made."
        )
    if files.ca and any(label.endswith(PRIVATE_KEY) for label in labels(files.ca.content)):
        return note(
            f"{files.ca.path} also holds a private key, and CA files are given away.",
            "Keep the key in a file of its own.",
        )
    return ok(f"Certificates: {count}, and {'no' if files.is_without_key else 'a'} private key.")


def _wanted(files: Files) -> list[tuple[File, str]]:
    wanted = [(files.certificate, CERTIFICATE)]
    if not files.is_without_key:
        wanted.append((files.key, PRIVATE_KEY))
    return [*wanted, (files.ca, CERTIFICATE)] if files.ca else wanted


def _is_swapped(files: Files) -> bool:
    certificate, key = set(labels(files.certificate.content)), set(labels(files.key.content))
    return (
        CERTIFICATE not in certificate
        and CERTIFICATE in key
        and any(label.endswith(PRIVATE_KEY) for label in certificate)
    )


def _no_such_block(file: File, wanted: str) -> Finding:
    what = "certificate" if wanted == CERTIFICATE else "private key"
    if found := labels(file.content):
        instead = next((_MISTAKEN[label] for label in found if label in _MISTAKEN), None)
        return failed(
            f"{file.path} holds no {what}, but {instead or ', '.join(found)}.",
            f"Give the file that has the {what}.",
            f"grep BEGIN {file.word}",
        )
    name, command = what_it_is(file.content)
    tool = "x509" if wanted == CERTIFICATE else "pkey"
    return failed(
        f"{file.path} is {name}; a {what} in PEM is needed.",
        "Convert it (a PKCS #12 file is taken as it is, with --pkcs12), or copy it again.",
        command.format(path=file.word, tool=tool),
    )


def _pkcs12(files: Files) -> Finding:
    path = files.certificate.path
    try:
        bundle = files.bundle
    except ValueError as error:
        return failed(
            f"{path} cannot be opened: {error}.",
            "Give the right password, by --password-file or --password-env.",
            f"openssl pkcs12 -in {files.certificate.word} -info -noout",
        )
    if bundle.cert is None or bundle.key is None:
        lacking = "private key" if bundle.key is None else "certificate for its key"
        return failed(
            f"{path} holds no {lacking}.",
            "Export it again with key and chain:",
            "openssl pkcs12 -export -inkey key.pem -in chain.crt -out client.p12",
        )
    return ok(f"Certificates: {len(files.certificates)}, and a private key.")


def _encrypted(files: Files) -> Finding:
    if files.is_without_key:
        return skipped(_NO_KEY)
    try:
        _ = files.private_key
    except TypeError:
        return failed(
            f"The key in {files.key.path} is encrypted, and no password was given. "
            "A service has nobody to ask for it.",
            "Give the password, by --password-file or --password-env; for a service, decrypt it "
            "into a file that only the service may read:",
            f"(umask 077; openssl pkey -in {files.key.word} -out private-key.pem)",
        )
    except ValueError as error:
        has_password = files.password is not None
        return failed(
            f"The key in {files.key.path} cannot be opened: {error}.",
            "Give the right password." if has_password else "Copy it again from where it was made.",
            f"openssl pkey -in {files.key.word} -noout",
        )
    if files.password is not None and b"ENCRYPTED" in files.key.content:
        return note(
            "It is encrypted, and the password given opens it. A service has nobody to ask."
        )
    return ok("It can be opened." if files.is_pkcs12 else "It is not encrypted.")


def _fits(files: Files) -> Finding:
    key = _public_bytes(files.private_key)
    matching = [n for n, each in enumerate(files.certificates) if _public_bytes(each) == key]
    if matching and matching[0] == 0:
        return ok("It is the key of the first certificate.")
    if matching:
        return failed(
            f"It is the key of certificate {matching[0] + 1} in {files.certificate.path}; that one "
            "has to come first.",
            "Write the file again: the leaf, then its issuer, and so on.",
            "cat leaf.crt issuing-ca.crt > chain.crt",
        )
    return failed(
        f"The key in {files.key.path} is not that of the certificate in {files.certificate.path}.",
        "Find the certificate for this key, or issue one for it: the two must print the same.",
        f"openssl pkey -in {files.key.word} -pubout; "
        f"openssl x509 -in {files.certificate.word} -noout -pubkey",
    )


def _public_bytes(holder: x509.Certificate | PrivateKeyTypes) -> bytes:
    try:
        return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return b""


def _permissions(files: Files) -> Finding:
    if files.is_without_key:
        return skipped(_NO_KEY)
    if _is_mounted_for_our_group(files.key):
        return ok(f"Mode {files.key.mode:04o}, of root: ours through the group, as in Kubernetes.")
    if files.key.mode & 0o077:
        return failed(
            f"{files.key.path} is open to others (mode {files.key.mode:04o}): its readers can "
            "impersonate its owner. mtls.identity, like ssh, does not use such a key.",
            "Take the rights away, and if others had time to read it, make a new key:",
            f"chmod 600 {files.key.word}",
        )
    return ok(f"Mode {files.key.mode:04o}.")


def _is_mounted_for_our_group(file: File) -> bool:
    """Whether root gave it to our group to read: Kubernetes does so (securityContext.fsGroup)."""
    groups = {os.getegid(), *os.getgroups()}
    return (file.mode, file.owner) == (0o440, 0) and file.group in groups


def _revoked(files: Files) -> Finding:
    file = files.revoked or files.certificate
    path, now = file.path, dt.datetime.now(dt.UTC)
    again = f"Fetch the list from the CA again, and put it at {path}."
    command = f"openssl crl -in {file.word} -noout -issuer -lastupdate -nextupdate"
    try:
        lists = files.revocation_lists
    except ValueError as error:
        return failed(f"{path} cannot be read: {error}.", again)
    authorities = (*files.certificates[1:], *files.roots)
    for each in lists:
        issuer = f'The list of "{each.issuer.rfc4514_string()}"'
        if not any(_has_signed(authority, each) for authority in authorities):
            return failed(
                f"{issuer} in {path} is signed by none of the CAs in the chain and in the CA file.",
                again,
                command,
            )
        if any(extension.oid == ExtensionOID.DELTA_CRL_INDICATOR for extension in each.extensions):
            return failed(
                f"{issuer} is a delta list: what has changed since a complete one, and no more.",
                "Fetch the complete list from the CA.",
            )
        if each.next_update_utc is None or each.next_update_utc < now:
            due = each.next_update_utc or "a time that it does not give"
            return failed(
                f"{issuer} is out of date: the next one was due at {due}.", again, command
            )
        leaf = files.certificates[0]
        if each.issuer == leaf.issuer and (
            each.get_revoked_certificate_by_serial_number(leaf.serial_number) is not None
        ):
            return failed(
                f"{issuer} names the certificate in {files.certificate.path}: it is revoked.",
                "Have a new certificate issued, with a new key.",
            )
    return ok(f"Lists: {len(lists)}; the certificate is on none of them.")


def _has_signed(authority: x509.Certificate, revocations: x509.CertificateRevocationList) -> bool:
    if authority.subject != revocations.issuer:
        return False
    try:
        return revocations.is_signature_valid(authority.public_key())  # type: ignore[arg-type]
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False


FILE_CHECKS: Final = (
    Check("files.readable", "The files can be read", _readable),
    Check("files.format", "Certificates and key are where they belong", _pem, ("files.readable",)),
    # Before the fit: a key that cannot be opened cannot be compared.
    Check("key.encrypted", "The key can be opened", _encrypted, ("files.format",)),
    Check("key.fits", "The key belongs to the certificate", _fits, ("key.encrypted",)),
    Check("key.permissions", "Only its owner can read the key", _permissions, ("files.readable",)),
)
# Where there is such a list.
REVOCATION_CHECKS: Final = (
    Check("files.revoked", "The revocation list is usable", _revoked, ("files.format",)),
)
