"""Other people's messages to our records, and our answers back in their envelope."""
