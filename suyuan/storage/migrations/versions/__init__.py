"""One module a version, each a step from the version before."""
