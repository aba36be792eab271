"""Another program has filled the disk: what is stored is served and deleted, and nothing breaks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tests.compose.fragile import until_served
from tests.compose.programs import program, run
from tests.compose.project import Project

INTEGRITY = """
import sqlite3
print(sqlite3.connect("/data/video-queue.db").execute("PRAGMA integrity_check").fetchone()[0])
"""


@contextmanager
def filled(project: Project, free_mib: int) -> Iterator[None]:
    """Let the other program write until so much of the disk is free; at the end it deletes that."""
    other = project.container("other-program")
    answer = run(other, *program("fill.py", "/data/of-another-program", str(free_mib)))
    assert answer.exit_code == 0, answer.stderr
    try:
        yield
    finally:
        run(other, "rm", "/data/of-another-program")


def test_a_full_disk_refuses_and_goes_on(fragile: Project) -> None:
    """Injected: a disk with less than the database's reserve left, then one with nothing left.

    Seen: 507 for uploads; reading and deleting go on. With the disk free again, all is as before.
    """
    until_served(fragile)
    content = os.urandom(300_000)
    kept, deleted = fragile.upload("kept", content), fragile.upload("deleted", content)
    with filled(fragile, free_mib=60):
        answer = fragile.try_upload("one too many", content)
        assert answer.status == 507, answer
        assert "delete some" in answer.json["detail"]
        assert fragile.source(kept) == content
    with filled(fragile, free_mib=0):
        assert fragile.try_upload("one too many", content).status == 507
        assert fragile.source(kept) == content
        assert fragile.request("DELETE", f"/videos/{deleted}").status == 204
        assert fragile.request("GET", f"/videos/{deleted}").status == 404

    assert fragile.source(fragile.upload("there is room again", content)) == content
    assert fragile.source(kept) == content
    titles = fragile.titles()
    assert {"kept", "there is room again"} <= titles
    assert not {"deleted", "one too many"} & titles
    checked = run(fragile.container("video-queue"), "python", "-c", INTEGRITY)
    assert checked.output == b"ok\n", checked
