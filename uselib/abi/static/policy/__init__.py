"""Suppressions and baselines: findings that a project accepts."""
