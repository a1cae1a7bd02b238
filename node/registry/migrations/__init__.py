"""Numbered changes of the registry's tables, run by `node.registry.database.migrate`."""
