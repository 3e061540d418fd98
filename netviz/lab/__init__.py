"""Where a lab runs: the sandbox, its Jupyter kernel, and what the machine can do."""
