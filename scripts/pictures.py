"""Draw the pictures of README and lessons: ``.venv/bin/python scripts/pictures.py``.

With names (``10-ipip``) only those. ``networks/`` has a script for each: its network is built for
real in a lab of its own, and drawn, on the kernel that the lesson asks for. The cards whose address
is shown have a fixed one, and what else the kernel makes up is left out, so the same bytes come out
every time.
"""

import re
import subprocess
import sys
from pathlib import Path

import netviz
from netviz.lab.choosing import choose
from netviz.lab.sandbox import inside

CHECKOUT = Path(__file__).resolve().parent.parent
NETWORKS = CHECKOUT / "scripts/networks"
NETVIZ = str(Path(sys.executable).with_name("netviz"))


def main() -> None:
    """Draw each network in a lab of its own, with this program again; there, draw the one."""
    names = sys.argv[1:]
    for script in sorted(NETWORKS.rglob("*.sh")):
        if names and script.stem not in names:
            continue
        if inside():
            subprocess.run(["bash", "-e", str(script)], check=True)
            picture = CHECKOUT / script.parent.name / "pictures" / f"{script.stem}.svg"
            picture.write_text(steady(drawn(script.stem)), encoding="utf-8")
            continue
        lesson = CHECKOUT / "notebooks" / f"{script.stem}.ipynb"
        own = ["--own-kernel"] if choose({"JPY_SESSION_NAME": str(lesson)}).own else []
        again = [NETVIZ, "run", *own, "--", sys.executable, __file__]
        subprocess.run([*again, script.stem], check=True)


def drawn(name: str) -> str:
    """Return a picture: of what is there, a journey through it, or a plan."""
    if name == "journey":
        return netviz.trace("pod1", "ping -c1 10.244.0.2").draw().svg
    return netviz.draw(netviz.nodes(2, 2) if name == "plan" else None).svg


def steady(svg: str) -> str:
    """Return a picture with its namespaces numbered, and no random address in hover titles."""
    ids = dict.fromkeys(re.findall(r" · id (\d+)<", svg))
    for number, own in enumerate(ids, 1):
        svg = svg.replace(own, str(number))
    svg = re.sub(r" source port \d+|, pid \d+", "", svg)
    return re.sub(r" · (fe80::|MAC )[^ ]+", "", svg)


if __name__ == "__main__":
    main()
