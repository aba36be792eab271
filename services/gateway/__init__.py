"""The HTTPS API in front of the video queue. README.md is its one-page guide."""
