"""Only the demo needs rich. But structlog imports it wherever it finds it, for 60 ms."""

raise ImportError("The images have no rich.")
