"""What benchmarks, experiments and trials share: which commit was measured, on what kind of machine."""
