"""Who may do what: users with tokens and roles, a rule for every route, and a record of what was done.

Invariants:

- A request is answered only if :mod:`server_app.access.rules` has a rule for its method and path. A new route needs a
  new rule; without one it is refused.
- A request that may come from elsewhere (:func:`server_app.access.gate.is_from_here`) needs a token, whatever door
  the server was started by.
- A token is known to its owner alone. The server keeps a salted hash, and no log line, error or record holds a token.
- A change is in the audit log before it happens, and its outcome before the client hears of it.
"""
