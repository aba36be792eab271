#!/bin/sh
# Makes the bucket `videos`, once, for the user of prepare.py, and has what is stored in it synced to the disk
# before it is acknowledged: SeaweedFS syncs where a rule says so (its README, "fs.configure").
set -eu

ask() {
    printf '%s\n' "$@" | timeout 20 weed shell -master=127.0.0.1:9333 -filer=127.0.0.1:8888 2>&1
}

tries=0
until ask s3.bucket.list >/tmp/said; do
    tries=$((tries + 1))
    if [ "$tries" -ge 60 ]; then
        cat /tmp/said >&2
        exit 1
    fi
    sleep 1
done
grep -qw videos /tmp/said || ask 's3.bucket.create -name videos -owner video-queue'
ask 'fs.configure -locationPrefix=/buckets/videos/ -fsync -apply'
