"""How far each intersection is given into this edge server's hands: off, shadow, advise or act."""
