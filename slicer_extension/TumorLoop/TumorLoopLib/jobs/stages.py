"""The stages that jobs report, and those of the server's computation."""

from __future__ import annotations

#: Volumes are compressed; files are sent; the request waits in the server's queue; the server computes; the answer
#: arrives; the server is asked something; the server generates a synthetic case.
PREPARING, SENDING, WAITING, COMPUTING, RECEIVING, CHECKING, GENERATING = (
    "preparing", "sending", "waiting", "computing", "receiving", "checking", "generating"
)  # fmt: skip

#: Within ``COMPUTING``, in the server's words.
READING, REGISTERING, STRIPPING, RESTORING = "reading", "registering", "stripping", "restoring"
