"""Recording: which functions there are, and the two backends that make records of calls."""
