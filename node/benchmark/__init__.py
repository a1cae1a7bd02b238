"""Measuring C-STORE receivers side by side: the objects, the senders, the receivers, the figures."""
