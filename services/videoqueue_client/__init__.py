"""What both callers of the video queue share: the channel's options, and how a file is sent."""
