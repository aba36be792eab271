"""A small public key infrastructure: a root CA, an issuing CA, and a folder per identity."""
