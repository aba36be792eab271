"""Holds videos, their status and the work to be done on them; serves it over gRPC and mutual TLS.

What a call may do            policy
What it says                  servicer, messages, streams, heartbeats, callers, status_codes
What a video is               videos, renditions, pages, errors
What happens to it            uploads, publishing, library, work
Where it is kept              incoming_files, files, open_files (bytes), quota
What is known of it           catalog, leases, rendition_rows, key_rows, schema, database, ballast
Who is told                   notifier
How it starts and ends        __main__, config, server, store, housekeeping, data_folder, shielded
"""
