"""The data set's own files, and other lists, as records: the engine knows no ROCO."""
