"""Access control: users with tokens and roles, and an audit log.

The minimum role for each route is in :mod:`server_app.api.route_table`.

Invariants:

- A request is answered only if its method and path are in that table, and only for a user who has the role given there.
- A request that may come from another machine (see :func:`server_app.access.authentication.is_local_request`) needs a
  token, however the server was started.
- Only its owner knows a token. The server keeps a salted hash, and no log line, error or record holds a token.
- A change is in the audit log before it happens, and its outcome before the client gets the response.
"""
