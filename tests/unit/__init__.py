"""One folder a room, one file a module; no sockets."""
