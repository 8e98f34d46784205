"""One suite for each protocol: the real servers and parts pass it, and so do the fakes."""
