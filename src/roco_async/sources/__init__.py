"""Which bytes are an image's."""
