"""``make bench``: how long things take and how much memory they need, beside peers measured in the same run.

Each file of :mod:`benchmarks.parts` measures one subject and returns an :class:`~benchmarks.outcome.Outcome`;
:mod:`benchmarks.peers` holds what others do for the same purpose. The results become ``docs/performance.md`` and one
line of ``benchmarks/history.jsonl``. pytest-benchmark and asv were looked at: neither measures two programs in turns,
nor the memory of a server and its processes, nor does either resume.
"""

import docs.demo  # noqa: F401 - puts the client on the path
