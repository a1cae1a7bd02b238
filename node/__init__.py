"""The service around the science: network, disk, database and clock."""
