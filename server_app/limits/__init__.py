"""Limits on what one client may use of the server.

:mod:`server_app.limits.middleware` runs before all routes. It checks the form of addresses and names, the size of a
body and the time it takes to arrive, and the number of requests in progress. :mod:`server_app.limits.connections`
limits what uvicorn handles before there is a request.
"""
