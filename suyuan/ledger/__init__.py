"""What happened to each box: frozen facts, folded into state, decided once."""
