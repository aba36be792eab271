"""Containers come and go, the videos stay: they lie in a named volume."""

import uuid

from tests.compose.project import SERVICES, Project


def test_video_is_still_there_after_down_and_up(project: Project) -> None:
    title, content = f"title {uuid.uuid4()}", b"what was filmed" * 1000
    video_id = project.upload(title, content)
    before = {project.container(service).id for service in SERVICES}
    project.compose("down")
    assert not project.containers()

    project.up()

    assert not before & {project.container(service).id for service in SERVICES}
    assert title in project.titles()
    assert project.source(video_id) == content
