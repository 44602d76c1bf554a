"""Call tracing: recorder, events, renderers."""
