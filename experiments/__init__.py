"""The protocol of the paper's section 4, run and rendered by ``python -m experiments``; see docs/training.md."""
