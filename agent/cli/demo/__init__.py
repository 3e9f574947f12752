"""The demonstration: a whole plant on this machine, from the PLC to the cloud, over real sockets."""
