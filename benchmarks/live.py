"""How soon a page shows what has changed: ``netviz run -- python benchmarks/live.py N …``.

A change is one address, given by one netlink message. Its time is from the kernel's answer until
the new picture stands in the page of a real browser, and until that is painted; both clocks are the
machine's. The floor is an empty reading of all that the kernel has. Prints one line of JSON, in
seconds.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from statistics import median, quantiles
from typing import TYPE_CHECKING

from idle import quiet
from once import timed
from playwright.sync_api import sync_playwright

import netviz
from netviz.lab.attaching import listener
from netviz.picture.live import Live
from netviz.picture.watching import Page

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab

CHANGES = 100
PATIENCE = 1.0
REST = 0.12
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")
# When the view has drawn a frame, it says its number.
WAIT = """() => new Promise((done) => {
  const root = document.querySelector(".nv");
  const now = () => (performance.timeOrigin + performance.now()) / 1000;
  window.drawn = new Promise((tell) => new MutationObserver((_, it) => {
    it.disconnect();
    const at = now();
    requestAnimationFrame(() => requestAnimationFrame(() => tell([at, now()])));
  }).observe(root, { attributeFilter: ["data-frame"] }));
  done();
})"""


def main(sizes: list[int]) -> None:
    """Measure, and print the figures."""
    figures: dict[str, float] = {}
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(OPTIONS))
        for size in sizes:
            network = netviz.bridge(size)
            network.up()
            quiet(PATIENCE)
            live = Live()
            page = Page(live, listener())
            threading.Thread(target=page.serve_forever, daemon=True).start()
            tab = browser.new_page()
            tab.goto(page.url)
            tab.wait_for_selector(".nv[data-frame]")
            for name, seconds in latencies(tab).items():
                figures |= {
                    f"{name} p50 of {size}": median(seconds),
                    f"{name} p95 of {size}": quantiles(seconds, n=20)[-1],
                }
            figures[f"snapshot of {size}"] = median(timed(netviz.snapshot) for _ in range(9))
            tab.close()
            page.shutdown()
            live.stop()
            network.down()
        browser.close()
    sys.stdout.write(json.dumps(figures) + "\n")


def latencies(tab: Tab) -> dict[str, list[float]]:
    """Return how long each change took until it was drawn, and until it was painted."""
    found: dict[str, list[float]] = {"drawn": [], "painted": []}
    for number in range(CHANGES):
        time.sleep(REST)  # Each is a burst of its own.
        tab.evaluate(WAIT)
        where = f"10.77.{number % 200}.1/24"
        subprocess.run(["ip", "-n", "net1", "address", "add", where, "dev", "lo"], check=True)
        began = time.time()
        drawn, painted = tab.evaluate("window.drawn")
        found["drawn"].append(drawn - began)
        found["painted"].append(painted - began)
    return found


if __name__ == "__main__":
    main([int(each) for each in sys.argv[1:]])
