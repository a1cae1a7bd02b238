"""Storage commitment: what is asked, how it is judged, and how listener and worker hand it to one another."""
