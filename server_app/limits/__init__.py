"""What one client may ask of the server, so that there is enough of it for the others.

:mod:`server_app.limits.layer` stands before all routes: addresses and names in their allowed form, bodies of limited
size that arrive in time, a limited number of requests at once. :mod:`server_app.limits.connections` does the same for
what uvicorn handles before there is a request. :mod:`server_app.limits.files` looks at the volumes that were sent.
"""
