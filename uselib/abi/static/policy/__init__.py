"""What to do about findings: suppressions, baselines."""
