"""What mutual TLS costs here, and how we compare: README.md says what is measured, and how."""
