"""The calls of video_queue.proto: messages in, messages out."""
