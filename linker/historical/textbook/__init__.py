"""The formats of the textbook's projects."""
