"""One command on a fresh clone brings everything up, and again later it changes nothing."""

from tests.compose.project import SERVICES, Project


def started(project: Project) -> dict[str, tuple[str, str]]:
    return {
        name: (container.id or "", container.attrs["State"]["StartedAt"])
        for name, container in project.containers().items()
        if name in SERVICES
    }


def test_up_ends_with_certificates_made_and_services_healthy(project: Project) -> None:
    containers = project.containers()
    assert containers["certs"].attrs["State"]["ExitCode"] == 0
    running = (*SERVICES, "renewer")
    assert {name: containers[name].health for name in running} == dict.fromkeys(running, "healthy")


def test_second_up_changes_nothing(project: Project) -> None:
    before = started(project), project.certificate_files()
    project.up()
    assert (started(project), project.certificate_files()) == before
