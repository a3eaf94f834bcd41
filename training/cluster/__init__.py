"""Jobs on a Ray cluster, or on a Ray that is started on this machine for one command.

A job is a task of its own, so that a worker or a machine that dies costs only the jobs it was computing; these are
computed again elsewhere. Results that matter are files, which the workers write where every machine sees them; only
small values are sent back. Ray is an optional dependency and imported when it is used.
"""
