"""Makes services (scripts/new_service) and systems (scripts/new_system) out of templates.

It is code of our own because half of the work is no template's: rows in files that are yours
(identities.toml, docker-compose.yml, a policy), a contract that is compiled, and taking all of it
out again. Copier would do the other half: https://copier.readthedocs.io makes files, not rows.
"""
