"""The renewer issues again what is due and ends when told to; a revocation reaches every folder."""

import re
import subprocess

from cryptography import x509

from pki.store import locked
from tests.compose.programs import run
from tests.compose.project import Project
from tests.compose.waiting import wait_for

CHECK = ("python", "-m", "bootstrap_certs", "--folder", "/certs", "check")


def serial(certificate: bytes) -> int:
    return x509.load_pem_x509_certificate(certificate).serial_number


def test_the_renewer_issues_again_what_is_due_and_gives_it_to_its_owner(project: Project) -> None:
    """It looks once a minute, and when it starts."""
    viewer = project.certificates("client/viewer")
    before = serial((viewer / "certificate.crt").read_bytes())
    renewer = project.container("renewer")
    with locked(project.folder / "certs"):  # or it might look just now
        (viewer / "key-pair.pem").unlink()
        assert run(renewer, *CHECK).exit_code == 1  # so it would be unhealthy
        renewer.stop(timeout=60)
    assert project.container("renewer").attrs["State"]["ExitCode"] == 0  # it was not killed
    assert renewer.logs().endswith(b"renewer: stopped\n")

    renewer.start()  # and not with compose, which would first run `certs` again
    wait_for((viewer / "key-pair.pem").exists, "another certificate")
    wait_for(
        lambda: re.search(
            rb"^\S+Z client/viewer: issued again, .*, because key-pair.pem is missing$",
            renewer.logs(),
            re.MULTILINE,
        ),
        "a line of the renewer",
    )
    assert serial((viewer / "certificate.crt").read_bytes()) != before
    owners = {path.stat().st_uid for path in viewer.iterdir()}
    assert owners == {project.folder.stat().st_uid}
    wait_for(lambda: project.container("renewer").health == "healthy", "the renewer's health")


def test_whoever_works_in_the_folder_does_so_alone(project: Project) -> None:
    """The lock is on the folder itself, so it holds between the containers and with their host."""
    renewer = project.container("renewer").id
    command = ["docker", "exec", str(renewer), *CHECK[:-1], "--service-owner", "10001"]
    with locked(project.folder / "certs"):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stderr
        assert b"Another run holds /certs; waiting for its end." in process.stderr.readline()
        assert process.poll() is None
    output, _ = process.communicate(timeout=60)
    assert output.startswith(b"Nothing to do: ")


def test_a_revocation_reaches_every_folder(project: Project) -> None:
    before = project.certificate_files()
    project.compose("run", "--rm", "certs", "revoke", "console", "--reason", "key-compromise")
    files = project.certificate_files()
    (crl,) = {content for path, content in files.items() if path.endswith("/revoked.crl")}
    listed = {entry.serial_number for entry in x509.load_pem_x509_crl(crl)}
    revoked = before["console/certificate.crt"], files["impostors/revoked.pem"]
    assert listed == set(map(serial, revoked))
    assert serial(files["console/certificate.crt"]) not in listed
