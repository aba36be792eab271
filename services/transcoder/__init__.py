"""The worker of the video queue: makes renditions of a video and a thumbnail."""

import os

# gRPC's C-core prepares for every fork, so that it can be used in both processes; now and then that
# crashes the new one before its program has begun. Our forks are followed by exec, and for those
# gRPC's doc/fork_support.md says to turn it off. It is read when grpc is imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"
