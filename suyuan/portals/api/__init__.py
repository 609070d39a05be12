"""Routes for programs, under `/api/v1`; one subject a module."""
