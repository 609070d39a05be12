"""What is run from the repository and never installed."""
