"""Holds videos, their status and the work to be done on them; serves it over gRPC and mutual TLS.

The server, whatever it serves   __main__, config, server, policy, maintenance, errors
The calls of video_queue.proto   api/
The rules of videos              domain/, which knows no transport and no database
Rows and files                   storage/
"""
