"""How far the machine is from its twin, and what that speaks for."""
