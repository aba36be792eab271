"""Gives each folder below FOLDER to the user 10001, and makes the key of the bucket once.

The key is no more than what S3 cannot do without: the object store lets nobody in who has no
certificate. It is random, and in a volume that only the object store and the queues have.
"""

import json
import os
import secrets
import sys
from pathlib import Path

OWNER = 10001


def main(folder: Path) -> None:
    """Prepare the volumes; what is there stays."""
    for volume in folder.iterdir():
        os.chown(volume, OWNER, OWNER)
        volume.chmod(0o700)
    key = folder / "bucket-key"
    if not (key / "credentials").exists():
        access, secret = "video-queue", secrets.token_urlsafe(32)
        user = {
            "name": "video-queue",
            "credentials": [{"accessKey": access, "secretKey": secret}],
            "actions": ["Read:videos", "Write:videos", "List:videos"],
        }
        write(key / "seaweedfs.json", json.dumps({"identities": [user]}))
        write(
            key / "credentials",
            f"[default]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n",
        )


def write(path: Path, text: str) -> None:
    """Write a file for the user alone, whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchown(descriptor, OWNER, OWNER)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    new.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
