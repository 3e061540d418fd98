from pathlib import Path

def tree() -> Path | None:
    return None
