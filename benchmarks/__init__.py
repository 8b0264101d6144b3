"""How fast zsre is beside others, on the same text; it is not installed. See docs/benchmarks.md."""
