"""Certificates with one thing wrong, for failures and their twins."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from pki.authority import Authority, Issued
from pki.identities import Identity
from tests.failures.lab import CLIENT, SERVER, Arrange, Case, Lab
from tests.unit.doctor.material import ISSUING, LEAF, ROOT, Made, Spec, make


def spec_of(identity: Identity, **changes: Any) -> Spec:
    """Return what stands in an identity's certificate, but for the changes."""
    usual = replace(
        LEAF,
        subject=identity.name,
        ekus=identity.ekus,
        dns=identity.dns_names,
        uris=[identity.uri],
    )
    return replace(usual, **changes)


def issuer_of(authority: Authority) -> Made:
    """Return the issuing CA, to sign with."""
    assert authority.root_key
    root = Made(authority.root, authority.root_key)
    return Made(authority.issuing.certificate, authority.issuing.key, root)


def issued(made: Made) -> Issued:
    """Return it in the form in which identities are written."""
    return Issued(made.certificate, made.chain_pem or made.pem, made.key_pem())


def client_of(authority: Authority, **changes: Any) -> Issued:
    """Issue the client's certificate with something changed that Authority.issue cannot change."""
    return issued(make(spec_of(CLIENT, **changes), issuer_of(authority)))


def serves_below(root: Spec = ROOT, issuing: Spec = ISSUING, leaf: Spec | None = None) -> Arrange:
    """Serve with a certificate below CAs of its own, whose root the client trusts."""

    @contextmanager
    def arrange(lab: Lab) -> Iterator[Case]:
        top = make(root)
        certificate = issued(make(leaf or spec_of(SERVER), make(issuing, top)))
        with lab.server(certificate, lab.authority.ca_pem) as server:
            yield Case(lab.client(ca_pem=top.pem), server)

    return arrange


def leaf_alone(whole: Issued) -> Issued:
    """Return the certificate without its issuer's behind it."""
    end = b"-----END CERTIFICATE-----\n"
    return replace(whole, chain_pem=whole.chain_pem.partition(end)[0] + end)
