"""edgetwin: a digital twin as a small daemon beside the machine. Start reading in agent/README.md."""
