"""What a video is and what may become of it."""
