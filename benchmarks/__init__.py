"""Speed and memory against peers, measured in the same run: `python -m benchmarks [NAME...]` prints ratios as Markdown tables."""
