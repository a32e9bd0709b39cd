"""Bounds of the control API. Its clients are programs of the same user, so these stop accidents, not attacks."""

from __future__ import annotations

#: Open connections; a process may usually have 1,024 files open, and the node needs most of them.
MAX_CONNECTIONS = 256
#: Requests being served at once; the core takes 1,024 commands (overlay.limits.MAX_COMMANDS).
MAX_REQUESTS = 128
#: A message of a topic has up to 1 MiB (overlay.limits.MAX_LARGE_BODY), which JSON makes up to three times as long.
MAX_BODY = 4 * 1024 * 1024
#: A body has to come whole within this, or some unfinished requests would take all of MAX_REQUESTS for ever.
BODY_S = 2.0
MAX_EVENT_CLIENTS = 16
#: Events that wait for one client; one that falls behind further is dropped, not waited for.
EVENT_QUEUE = 1024
#: ... and their bytes: two of the longest messages.
EVENT_BYTES = 2 * MAX_BODY
#: A comment after this long without an event tells a client that the node lives.
EVENT_KEEPALIVE_S = 15.0
#: A connection without a request is closed after this. Where a machine is so busy that the node stands still for so
#: long, what came meanwhile is not read: with 1 s, one of 6,000 requests to 30 nodes that started was cut off.
KEEP_ALIVE_S = 30.0
#: Requests under way get this long when the node stops.
GRACE_S = 1.0
