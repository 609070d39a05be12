"""HTTP: the same doors for programs and for people, each record only for those who may see it."""
