"""Calls the database and the object store: reach_stores.py IDENTITY [KEY]; a line for each.

IDENTITY is a folder with a certificate, or `none`; KEY is the folder with the bucket's key.
"""

import os
import sys
from pathlib import Path

import botocore.config
import botocore.session
import psycopg
from botocore.exceptions import BotoCoreError, ClientError
from psycopg.conninfo import make_conninfo


def database(identity: Path | None, ca: str) -> str:
    """Ask PostgreSQL who we are."""
    shown = {"sslcert": "", "sslkey": ""}
    if identity:
        shown = {"sslcert": f"{identity}/certificate.crt", "sslkey": f"{identity}/private-key.pem"}
    where = make_conninfo(host="database", user="video_queue", dbname="videos", connect_timeout=10)
    try:
        with psycopg.connect(
            make_conninfo(where, sslmode="verify-full", sslrootcert=ca, **shown)
        ) as connection:
            return f"I am {connection.execute('SELECT current_user').fetchone()}"
    except psycopg.OperationalError as error:
        return " ".join(str(error).split())


def store(identity: Path | None, ca: str, key: Path | None) -> str:
    """List the bucket."""
    if key:
        os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(key / "credentials")
    client = botocore.session.get_session().create_client(
        "s3",
        endpoint_url="https://object-store:8333",
        region_name="us-east-1",
        verify=ca,
        config=botocore.config.Config(
            client_cert=str(identity / "key-pair.pem") if identity else None,
            signature_version=None if key else botocore.UNSIGNED,
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},
        ),
    )
    try:
        client.list_objects_v2(Bucket="videos", MaxKeys=1)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    except BotoCoreError as error:
        return f"{type(error).__name__}: {error}"
    return "listed"


if __name__ == "__main__":
    IDENTITY = None if sys.argv[1] == "none" else Path(sys.argv[1])
    KEY = Path(sys.argv[2]) if sys.argv[2:] else None
    CA = "/ca/ca-certificate.crt"
    print("database:", database(IDENTITY, CA))
    print("object-store:", store(IDENTITY, CA, KEY))
