"""The science: a series goes in; findings and products come out. No network, no database, no clock."""
