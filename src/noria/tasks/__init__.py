"""Tasks that ship with Noria."""
