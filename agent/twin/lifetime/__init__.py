"""How long the machine will last: drifts learned on line, and their first passage."""
