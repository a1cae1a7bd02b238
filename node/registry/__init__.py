"""What the node knows of studies, series, volumes, findings, outputs and deliveries, and their history."""
