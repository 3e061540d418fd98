"""Reading and changing what the kernel knows."""
