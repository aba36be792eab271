"""Runs the decoding of a video in a child process that may do next to nothing."""
