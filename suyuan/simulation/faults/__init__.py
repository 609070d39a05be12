"""Faults on purpose: a small country played through the real doors while everything goes wrong, decided by one seed."""
