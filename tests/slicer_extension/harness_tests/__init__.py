"""What the harness refuses, rule by rule: where Slicer would fail or only print a warning, a test must fail."""
