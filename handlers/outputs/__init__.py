"""Writers: what leaves the handler as files."""
