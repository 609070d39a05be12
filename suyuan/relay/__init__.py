"""Province and nation: what each tells the other, once, whatever dies on the way."""
