"""A small country with honest noise and planted fraud, and an auditor that keeps its own books."""
