"""Access control: users with tokens and roles, a role for every route, and an audit log.

Invariants:

- A request is answered only if its method and path are in :data:`server_app.api.paths.ROUTES`, and only for a user who
  has the role that is given there.
- A request that may come from another machine (see :func:`server_app.access.authentication.is_local_request`) needs a
  token, however the server was started.
- Only its owner knows a token. The server keeps a salted hash, and no log line, error or record holds a token.
- A change is in the audit log before it happens, and its outcome before the client gets the response.
"""
