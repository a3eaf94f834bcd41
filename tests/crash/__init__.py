"""Power cuts, as far as a process can have them: a real server is killed with -9 while labels are submitted.

``python -m tests.crash`` (``make crash``) kills it at 50 random moments and writes what was found. What this cannot
show is what a disk loses when its own power goes; that every file is flushed before it gets its name is tested in
``tests/training/test_atomic.py``.
"""
