"""Read pytest's output on stdin; fail where a skip's reason is not in tests/accepted-skips.txt."""

import re
import sys
from pathlib import Path

ACCEPTED = Path(__file__).resolve().parent.parent / "tests" / "accepted-skips.txt"


def main() -> None:
    """Count the skips, and judge them."""
    lines = (line.partition("#")[0].strip() for line in ACCEPTED.read_text().splitlines())
    accepted = re.compile("|".join(filter(None, lines)))
    skips = re.findall(r"^SKIPPED \[(\d+)\] (?:\S+?: )?(.*)$", sys.stdin.read(), re.MULTILINE)
    refused = sorted({reason for _, reason in skips if not accepted.fullmatch(reason)})
    sys.stdout.write(f"{sum(int(count) for count, _ in skips)} skips\n")
    if refused:
        sys.exit("not accepted in tests/accepted-skips.txt:\n" + "\n".join(refused))


if __name__ == "__main__":
    main()
