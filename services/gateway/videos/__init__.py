"""The routes of the videos: what a client sends and gets."""
