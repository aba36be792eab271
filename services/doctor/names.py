"""Names in a certificate: what they are, whether the name dialled is one, and what a CA permits."""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from mtls.certificates import extension_of

from cryptography import x509

from doctor.chain import join

_LABEL: Final = re.compile("[a-z0-9-]+")

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Names:
    """The names in the subjectAltName, and the common names, which no longer count."""

    dns: tuple[str, ...]
    addresses: tuple[IPAddress, ...]
    uris: tuple[str, ...]
    common: tuple[str, ...]

    def __str__(self) -> str:
        parts = [*self.dns, *(f"IP {address}" for address in self.addresses), *self.uris]
        return join(parts) or "none"


def names_of(certificate: x509.Certificate) -> Names:
    """Return every name that the certificate has."""
    common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    san = list(extension_of(certificate, x509.SubjectAlternativeName) or ())
    return Names(
        dns=tuple(name.value for name in san if isinstance(name, x509.DNSName)),
        addresses=tuple(
            name.value
            for name in san
            if isinstance(name, x509.IPAddress)
            and isinstance(name.value, ipaddress.IPv4Address | ipaddress.IPv6Address)
        ),
        uris=tuple(name.value for name in san if isinstance(name, x509.UniformResourceIdentifier)),
        common=tuple(str(attribute.value) for attribute in common),
    )


def address_of(name: str) -> IPAddress | None:
    """Read an IP address; None if the text is a host name."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def is_host_name(text: str) -> bool:
    """Whether TLS can be told to expect this name."""
    try:
        text.encode("idna")
    except UnicodeError:  # a label that is empty or longer than 63 characters
        return False
    return not text.startswith(".")


def covers(names: Names, dialled: str) -> bool:
    """Whether the certificate is for what was dialled (RFC 9525, section 6)."""
    if (address := address_of(dialled)) is not None:
        return address in names.addresses
    return any(_same_host(pattern, dialled) for pattern in names.dns)


def _same_host(pattern: str, host: str) -> bool:
    """Compare without case; `*` stands for the whole of the first label (RFC 9525, 6.3).

    Like OpenSSL and browsers, take no `*` for a name right below a top-level domain.
    """
    pattern, host = pattern.lower(), host.lower()
    if pattern.startswith("*."):
        label, _, rest = host.partition(".")
        return rest == pattern[2:] and "." in rest and bool(_LABEL.fullmatch(label))
    return pattern == host


def violations(certificate: x509.Certificate, constraints: x509.NameConstraints) -> Iterator[str]:
    """Yield each name that the constraints of a CA do not allow (RFC 5280, section 4.2.1.10)."""
    names: list[x509.GeneralName] = [x509.DirectoryName(certificate.subject)]
    names += extension_of(certificate, x509.SubjectAlternativeName) or []
    for name in names:
        if not (is_within := _WITHIN.get(type(name))):
            continue
        excluded = _of_kind(name, constraints.excluded_subtrees)
        permitted = _of_kind(name, constraints.permitted_subtrees)
        if any(is_within(name.value, tree) for tree in excluded):
            yield f"{_text(name)} is excluded"
        elif permitted and not any(is_within(name.value, tree) for tree in permitted):
            yield f"{_text(name)} is not among the permitted: {', '.join(map(str, permitted))}"


def _of_kind(name: x509.GeneralName, subtrees: list[x509.GeneralName] | None) -> list[Any]:
    return [tree.value for tree in subtrees or [] if type(tree) is type(name)]


def _text(name: x509.GeneralName) -> str:
    value = name.value
    return f'"{value.rfc4514_string()}"' if isinstance(value, x509.Name) else str(value)


def _host_within(host: str, tree: str) -> bool:
    """A host name's constraint is for the name and all below; with a leading dot, those below."""
    host, tree = host.lower(), tree.lower()
    if tree.startswith("."):
        return host.endswith(tree)
    return not tree or host == tree or host.endswith("." + tree)


def _uri_within(uri: str, tree: str) -> bool:
    """A URI's constraint is for its host: exact, or with a leading dot for every host below."""
    host, tree = (urlsplit(uri).hostname or "").lower(), tree.lower()
    return host.endswith(tree) if tree.startswith(".") else host == tree


def _email_within(email: str, tree: str) -> bool:
    host = email.rpartition("@")[2].lower()
    return email == tree if "@" in tree else _uri_within(f"mailto://{host}", tree)


def _address_within(address: IPAddress, tree: ipaddress.IPv4Network) -> bool:
    return address in tree


def _subject_within(subject: x509.Name, tree: x509.Name) -> bool:
    return list(subject.rdns)[: len(tree.rdns)] == list(tree.rdns)


_WITHIN: Final[Mapping[type[x509.GeneralName], Callable[[Any, Any], bool]]] = {
    x509.DNSName: _host_within,
    x509.UniformResourceIdentifier: _uri_within,
    x509.RFC822Name: _email_within,
    x509.IPAddress: _address_within,
    x509.DirectoryName: _subject_within,
}
