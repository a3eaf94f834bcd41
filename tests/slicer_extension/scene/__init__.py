"""The panel's logic on MRML, without Qt: runs with slicer-core, numpy and pytest alone (``make test-mrml``)."""
