"""Bench: the promised rates measured on this machine, in process and over HTTP, each beside its raw limit."""
