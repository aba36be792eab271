"""The HTTPS API: what every request passes, and the routes behind it. README.md is its guide."""
