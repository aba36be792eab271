"""There may be as many transcoders as one likes: none has a name, a port or a folder of its own."""

from tests.compose.project import Project
from tests.compose.waiting import wait_for

TRANSCODERS = 3


def test_three_transcoders_run_beside_each_other(project: Project) -> None:
    def healthy() -> int:
        label = f"com.docker.compose.project={project.name}"
        containers = project.engine.containers.list(
            filters={"label": [label, "com.docker.compose.service=transcoder"], "health": "healthy"}
        )
        return len(containers)

    try:
        project.compose("up", "--wait", "--no-recreate", "--scale", f"transcoder={TRANSCODERS}")
        assert healthy() == TRANSCODERS
    finally:
        project.compose("up", "--wait", "--no-recreate", "--scale", "transcoder=1")
    wait_for(lambda: healthy() == 1, "one transcoder")
