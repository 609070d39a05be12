"""The JSON of our own HTTP interface: bodies of uploads to documents, and outcomes back to answers."""
