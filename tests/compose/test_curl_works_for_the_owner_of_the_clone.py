"""The owner of the clone can call the gateway with curl and a certificate from certs/client."""

import json
import subprocess
from pathlib import Path

from tests.compose.project import Project


def curl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["curl", "--silent", "--show-error", "--max-time", "30", *arguments],
        check=False,
        capture_output=True,
        text=True,
    )


def as_uploader(project: Project) -> list[str]:
    folder = project.certificates("client/uploader")
    return [
        *("--cacert", str(folder / "ca-certificate.crt")),
        *("--cert", str(folder / "certificate.crt")),
        *("--key", str(folder / "private-key.pem")),
    ]


def test_uploads_lists_and_reads_back(project: Project, tmp_path: Path) -> None:
    video = tmp_path / "holiday.mp4"
    video.write_bytes(b"the sea, and the sand" * 1000)
    me = as_uploader(project)

    uploaded = curl(*me, "-F", "title=By the sea", "-F", f"file=@{video}", f"{project.url}/videos")
    video_id = json.loads(uploaded.stdout)["id"]
    listed = json.loads(curl(*me, f"{project.url}/videos").stdout)["videos"]
    copy = tmp_path / "copy.mp4"
    curl(*me, "--output", str(copy), f"{project.url}/videos/{video_id}/source")

    assert "By the sea" in {video["title"] for video in listed}
    assert copy.read_bytes() == video.read_bytes()


def test_without_a_certificate_curl_is_told_that_one_is_required(project: Project) -> None:
    only_trust = as_uploader(project)[:2]
    refused = curl(*only_trust, f"{project.url}/videos")
    assert refused.returncode != 0
    assert "alert certificate required" in refused.stderr
