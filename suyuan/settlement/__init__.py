"""Pay, refuse or hold, by code."""
