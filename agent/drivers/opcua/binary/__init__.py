"""OPC UA Binary (OPC 10000-6): what a server sends is decoded here, structures by definition. `builtin.py` first."""
