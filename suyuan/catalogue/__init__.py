"""Which product a code belongs to, and who is who."""
