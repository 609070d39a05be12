"""Pages for people; one subject a module."""
