"""Destinations: how a product leaves the node."""
