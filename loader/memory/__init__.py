"""Address spaces: mappings, the host memory behind them, access."""
