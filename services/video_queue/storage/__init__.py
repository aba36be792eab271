"""Where videos are kept: rows in a database, bytes in files."""
