"""What runs in a container may do nothing but its work, whatever the code is talked into."""

import json
from typing import Final

import pytest

from tests.compose.neighbour import Neighbour
from tests.compose.programs import program, run
from tests.compose.project import SERVICES, Project

MOST_MEGABYTES: Final = {"video-queue": 704, "gateway": 512, "transcoder": 1536, "console": 128}
CAPABILITIES: Final = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


@pytest.mark.parametrize("service", SERVICES)
def test_no_process_is_root_or_can_become_it(project: Project, service: str) -> None:
    answer = run(project.container(service), *program("processes.py"))
    processes = json.loads(answer.output)
    assert processes
    for process in processes:
        assert set(process["Uid"] + process["Gid"]) == {"10001"}
        assert not any(int(process[name][0], 16) for name in CAPABILITIES)
        assert process["NoNewPrivs"] == ["1"]
        assert process["Seccomp"] == ["2"]  # filtered (proc_pid_status(5))


def test_a_process_with_the_engines_defaults_looks_different(
    neighbour_of_queue: Neighbour,
) -> None:
    (first, *_) = json.loads(run(neighbour_of_queue.container, *program("processes.py")).output)
    assert set(first["Uid"]) == {"0"}
    assert int(first["CapEff"][0], 16)
    assert first["NoNewPrivs"] == ["0"]


@pytest.mark.parametrize("service", SERVICES)
def test_not_even_root_can_write_to_the_root_file_system_or_the_certificates(
    project: Project, service: str
) -> None:
    folders = ["/", "/app", "/venv", "/certs/identity"]
    answer = run(project.container(service), *program("write.py", *folders), user="0")
    assert json.loads(answer.output) == dict.fromkeys(folders, "EROFS")


@pytest.mark.parametrize(("service", "folder"), [("video-queue", "/data"), ("transcoder", "/work")])
def test_it_can_write_where_the_videos_are(project: Project, service: str, folder: str) -> None:
    answer = run(project.container(service), *program("write.py", folder))
    assert json.loads(answer.output) == {folder: ""}


@pytest.mark.parametrize("service", SERVICES)
def test_memory_and_processes_are_limited(project: Project, service: str) -> None:
    limits = project.container(service).attrs["HostConfig"]
    assert 0 < limits["Memory"] <= MOST_MEGABYTES[service] * 1024**2
    assert 0 < limits["PidsLimit"] <= 512


@pytest.mark.parametrize("service", ["certs", "renewer"])
def test_what_makes_the_certificates_is_root_with_three_rights_and_no_network(
    project: Project, service: str
) -> None:
    config = project.container(service).attrs["HostConfig"]
    assert config["CapDrop"] == ["ALL"]
    assert {name.removeprefix("CAP_") for name in config["CapAdd"]} == {
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
    }
    assert config["SecurityOpt"] == ["no-new-privileges:true"]
    assert config["NetworkMode"] == "none"
    assert config["ReadonlyRootfs"]
