"""Where bytes come from: one file a protocol; each maps its library's errors in one place."""
