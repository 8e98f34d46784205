"""Where images go: names, decisions, files, the journal, and what can be fed."""
