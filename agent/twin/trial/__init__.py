"""A change tried on the twin before it is made on the machine."""
