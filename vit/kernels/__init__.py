"""What makes a Transformer's blocks fast on CPUs, and when it is chosen."""
