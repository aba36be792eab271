"""Everything that knows FFmpeg: from a source to renditions and a thumbnail."""
