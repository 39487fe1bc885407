"""What the machine has and does: cores, memory, processes, number formats, and how long things take."""
