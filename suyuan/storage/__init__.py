"""Engines that keep a journal, and the tables beside it."""
