"""Client libraries with a TLS stack of their own: each is handed the identity in use."""
