"""A service that is broken into loses its own identity, and nobody else's."""

import hashlib
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from docker.models.containers import Container

from demo_identities import IDENTITIES
from tests.compose.neighbour import neighbour
from tests.compose.programs import program, run
from tests.compose.project import SERVICES, Project
from tests.compose.public_keys import PUBLIC_KEYS

ROOT, ISSUING = "ca/1/ca-certificate.crt", "ca/1/issuing-certificate.crt"
ALL_IDENTITIES = {identity.name for identity in IDENTITIES}
IMPOSTORS = "impostors"  # certificates that must be refused, for the console to try


def folders_of(service: str) -> set[str]:
    """Return which folders of certs/ a service is given."""
    return {service} | ({IMPOSTORS} if service == "console" else set())


def fingerprint(certificate: bytes) -> str:
    key = x509.load_pem_x509_certificate(certificate).public_key()
    return hashlib.sha256(
        key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    ).hexdigest()


def owners(project: Project) -> dict[str, str]:
    """Return whose key it is, by the fingerprint that find_keys.py prints."""
    files = project.certificate_files()
    leaves = {fingerprint(files[f"{i.name}/certificate.crt"]): i.name for i in IDENTITIES}
    impostors = {
        fingerprint(content): IMPOSTORS
        for path, content in files.items()
        if path.startswith(f"{IMPOSTORS}/") and path.endswith(".pem")
    }
    return leaves | impostors | {fingerprint(files[name]): name for name in (ROOT, ISSUING)}


def keys_in(project: Project, container: Container) -> set[str]:
    """Return the owners of all keys in the container's files, readable there or not.

    The search runs beside the container, as a root that may read all, and gets in through /proc.
    """
    assert container.image
    output = project.engine.containers.run(
        container.image,
        program("find_keys.py", "/proc/1/root/")[1:],
        entrypoint="python",
        pid_mode=f"container:{container.id}",
        user="0",
        cap_add=["SYS_PTRACE"],
        remove=True,
    )
    whose = owners(project)
    return {
        whose.get(key, path)
        for path, key in json.loads(output)
        if key in whose or not PUBLIC_KEYS.search(path)
    }


@pytest.mark.parametrize("service", SERVICES)
def test_container_holds_its_own_key_alone(project: Project, service: str) -> None:
    assert keys_in(project, project.container(service)) == folders_of(service)


def test_the_search_finds_every_key_where_all_are(project: Project) -> None:
    with neighbour(project, "backend", mounts={project.folder / "certs": "/mnt"}) as everything:
        found = keys_in(project, everything.container)
    assert found == ALL_IDENTITIES | {IMPOSTORS, ISSUING, ROOT}


def test_the_renewer_holds_the_key_of_the_issuing_ca_and_not_the_roots(project: Project) -> None:
    renewer = project.container("renewer")
    assert keys_in(project, renewer) == ALL_IDENTITIES | {IMPOSTORS, ISSUING}
    listed = run(renewer, "ls", "--almost-all", "/certs/offline-root", user="0")
    assert (listed.exit_code, listed.output) == (0, b"")
    assert project.certificate_files("offline-root")


@pytest.mark.parametrize("service", SERVICES)
def test_no_other_folder_of_certificates_is_mounted(project: Project, service: str) -> None:
    certs = project.folder / "certs"
    mounts = {
        (mount["Source"], mount["RW"])
        for mount in project.container(service).attrs["Mounts"]
        if mount["Type"] == "bind"
    }
    # A copy of every certificate; that there is no key beside them says the first test.
    published = {"published"} if service == "console" else set()
    assert mounts == {(str(certs / name), False) for name in folders_of(service) | published}
