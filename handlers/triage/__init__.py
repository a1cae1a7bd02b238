"""Rules: what a series is, and whether it can be trusted. Each looks and returns findings."""
