"""Steps: from stored values to a correct, canonical volume. Each takes a volume and returns a new one."""
