"""Does the simulator tell what really happens? The same short trace on a system and in it."""
