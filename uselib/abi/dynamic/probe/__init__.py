"""One function of two versions, called with generated arguments."""
