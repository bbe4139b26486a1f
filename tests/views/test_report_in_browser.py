"""The page in a real browser: figures appear, in both colour schemes, and nothing is complained of."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from tests.views.recordings import circling

pytest.importorskip("plotly")

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here: the report was not opened in a browser")

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    # WebGL without a graphics card.
    *("--enable-unsafe-swiftshader", "--use-angle=swiftshader"),
    *("--virtual-time-budget=60000", "--window-size=1100,3000", "--dump-dom"),
)

LISTEN = """<script>
window.complaints = [];
const complain = (words) => window.complaints.push(Array.from(words).map(String).join(" "));
for (const level of ["error", "warn"]) { console[level] = function () { complain(arguments); }; }
window.addEventListener("error", (event) => complain([event.message]));
window.addEventListener("unhandledrejection", (event) => complain([event.reason]));
document.addEventListener("securitypolicyviolation", (event) => complain([event.blockedURI, event.violatedDirective]));
</script>"""

TRY = """<script>
(async () => {
  const count = document.querySelectorAll(".plot").length;
  const pause = () => new Promise((go) => setTimeout(go, 50));
  const drawn = async () => { while (document.body.dataset.drawn != count) await pause(); };
  const look = () => ({
    ground: getComputedStyle(document.body).backgroundColor,
    ink: document.querySelector(".plot .xtick text").style.fill,
    plots: document.querySelectorAll(".plot .main-svg, .plot canvas").length,
  });
  await drawn();
  const first = look();
  const graph = document.getElementById("figure-" + (count - 1));
  await Plotly.relayout(graph, { "xaxis.range": [2, 3] });
  document.body.dataset.drawn = 0;
  document.getElementById("theme").click();
  await drawn();
  const report = { count, first, second: look(), zoom: graph._fullLayout.xaxis.range, complaints: window.complaints,
    canvases: document.querySelectorAll(".plot canvas").length,
    requests: performance.getEntriesByType("resource").map((entry) => entry.name) };
  document.title = JSON.stringify(report);
})();
</script>"""


def opened(page, profile, *flags: str) -> tuple[dict, str]:
    """What the page says of itself, and what the browser says of it."""
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    title = re.search(r"<title>(\{.*?\})</title>", answer.stdout, re.S)
    assert title is not None, (answer.stdout[:300], answer.stderr[-2000:])
    return json.loads(title[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")), answer.stderr


@pytest.mark.parametrize(("scheme", "n_dims", "count"), [("light", 3, 2), ("dark", 2, 3)])
def test_figures_appear_in_both_schemes_without_a_complaint(tmp_path, scheme, n_dims, count):
    from aitimestepper.views.report import report

    circling(np.linspace(0.0, 7.0, 300), n_dims).save(tmp_path / "run.h5")
    report(tmp_path / "run.h5", tmp_path / "page.html")
    page = tmp_path / "page.html"
    body, end, rest = page.read_text(encoding="utf-8").replace("<style>", LISTEN + "<style>", 1).rpartition("</body>")
    page.write_text(body + TRY + end + rest, encoding="utf-8")
    preferred = f"--blink-settings=preferredColorScheme={('dark', 'light').index(scheme)}"
    found, said = opened(page, tmp_path / "profile", preferred, "--enable-logging=stderr")
    assert found["count"] == count
    assert found["complaints"] == []
    assert found["requests"] == []
    assert "Failed to load resource" not in said
    assert found["canvases"] >= 1
    assert found["first"]["plots"] >= count
    dark, light = "rgb(22, 24, 28)", "rgb(255, 255, 255)"
    assert found["first"]["ground"] == (dark if scheme == "dark" else light)
    assert found["second"]["ground"] == (light if scheme == "dark" else dark)
    assert found["first"]["ink"] != found["second"]["ink"]
    # What was zoomed into stays.
    assert found["zoom"] == [2, 3]
