"""Signals: masks and dispositions, frames."""
