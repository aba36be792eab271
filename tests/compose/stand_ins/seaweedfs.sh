#!/bin/sh
# What the entry point of https://github.com/seaweedfs/seaweedfs (docker/entrypoint.sh) makes of `server ...`.
set -eu
shift
exec /usr/bin/weed -logtostderr=true server -dir=/data -volume.max=0 -master.volumeSizeLimitMB=1024 "$@"
