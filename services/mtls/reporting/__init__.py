"""Reports what the core does: log, metrics, TLS alerts. Delete this folder, and the core works."""
