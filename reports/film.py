"""The moving picture of the README: the viewer of the demo's page, driven as a reader drives it."""

from __future__ import annotations

import io
import re
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, expect

VIEW = {"width": 1280, "height": 800}
WIDTH = 960  # of the picture, px
STEP = 90  # ms of a frame while something moves
QUALITY = 70
LIMIT = 2_000_000  # bytes

# A pointer, which a headless browser does not draw, and a line that says what happens.
_POINTER = """() => {
  const pointer = Object.assign(document.createElement("div"), { id: "film-pointer" });
  Object.assign(pointer.style, {
    position: "fixed", zIndex: 99, width: "18px", height: "18px", marginLeft: "-9px", marginTop: "-9px",
    borderRadius: "50%", background: "#ffb000cc", border: "2px solid #222", pointerEvents: "none",
    left: "640px", top: "700px",
  });
  const line = Object.assign(document.createElement("div"), { id: "film-line" });
  Object.assign(line.style, {
    position: "fixed", zIndex: 98, left: 0, right: 0, bottom: 0, padding: "13px 28px",
    font: "600 21px/1.35 sans-serif", background: "#14181cf0", color: "#fff",
  });
  document.body.append(pointer, line);
  addEventListener("mousemove", (event) => {
    pointer.style.left = `${event.clientX}px`;
    pointer.style.top = `${event.clientY}px`;
  });
}"""


class Film:
    """Pictures of a page, each with the time for which it stands."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.pictures: list[Image.Image] = []
        self.times: list[int] = []
        self._at = (640.0, 700.0)
        page.evaluate(_POINTER)

    def hold(self, time: int) -> None:
        """Take what is seen for `time` ms."""
        picture = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        self.pictures.append(
            picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
        )
        self.times.append(time)

    def say(self, text: str) -> None:
        """Change the line below."""
        self.page.evaluate("(text) => { document.getElementById('film-line').textContent = text; }", text)

    def point(self, at: Locator, steps: int = 3) -> None:
        """Move the pointer onto something."""
        box = at.bounding_box()
        if box is None:
            raise RuntimeError(f"{at}: is not on the page")
        to = (box["x"] + min(box["width"] / 2, 40), box["y"] + box["height"] / 2)
        x, y = self._at
        for step in range(1, steps + 1):
            self.page.mouse.move(x + (to[0] - x) * step / steps, y + (to[1] - y) * step / steps)
            self.hold(STEP)
        self._at = to
        self.page.wait_for_timeout(150)  # the overlay of what is under the pointer

    def click(self, at: Locator) -> None:
        """Point and click."""
        self.point(at)
        self.page.mouse.down()
        self.page.mouse.up()
        self.page.wait_for_timeout(150)

    def save(self, out: Path) -> None:
        """Write an animated WebP.

        Raises:
            RuntimeError: If it is larger than `LIMIT`.
        """
        first, *rest = self.pictures
        # every picture whole (kmax): what is left of earlier ones would shine through
        how = {"quality": QUALITY, "method": 6, "kmin": 0, "kmax": 1}
        first.save(out, save_all=True, append_images=rest, duration=self.times, loop=0, **how)
        if out.stat().st_size > LIMIT:
            raise RuntimeError(f"{out}: has {out.stat().st_size:,} bytes, more than {LIMIT:,}")


def film(page: Page, out: Path) -> None:
    """Film the viewer of the demo's page of before, after and control.

    Args:
        page: That page, opened at `VIEW` with little motion asked for.
        out: The WebP to write.
    """
    viewer = page.locator(".attnscope")
    viewer.evaluate("(one) => one.scrollIntoView()")
    page.wait_for_timeout(500)
    reel = Film(page)
    reel.say("Asked whom Dan is talking to, the model answers Ben (wrong). In layer 3 the answer looks at Ben.")
    reel.hold(3200)
    expect(viewer.locator(".stage-readout")).to_contain_text(re.compile("Ben.s box"))
    reel.say("Each cell is a head. Its color says how much it attends to Ben; click one to see where it looks.")
    grid = viewer.locator(".heads-grid")
    for name in ("3.0", "3.3", "3.5"):
        reel.point(grid.locator(f"[data-look='{name}']"))
        reel.hold(500)
    reel.click(grid.locator("[data-look='3.5']"))
    reel.hold(1500)
    _slide(reel, viewer)
    reel.say("The difference of the two: attention moves from Ben to Eva.")
    reel.click(viewer.locator(".segments label").filter(has_text="change").first)
    reel.hold(2200)
    _words(reel, viewer)
    reel.save(out)


def _slide(reel: Film, viewer: Locator) -> None:
    """From before to after the correction."""
    reel.say("One slider leads from before to after the correction. After it, the model answers Eva (right).")
    slider = viewer.locator(".slider input")
    reel.point(slider)
    for share in (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100):
        slider.fill(str(share))
        reel.page.wait_for_timeout(60)
        reel.hold(STEP * 2)
    reel.hold(2200)
    expect(viewer.locator(".stage-readout")).to_contain_text(re.compile("Eva.s box"))  # as the next line says


def _words(reel: Film, viewer: Locator) -> None:
    """Words show where they look, and people who looks at them."""
    viewer.locator(".segments label").filter(has_text="before").first.click()
    words = viewer.locator(".words")
    words.evaluate("(one) => one.scrollIntoView()")
    reel.page.wait_for_timeout(300)
    reel.say("Point at a word to see where it looks ...")
    spoken = words.locator(".words-turns [role=option]")
    for number in (1, 4, 7):
        reel.point(spoken.nth(number))
        reel.hold(900)
    reel.say("... or choose a person to see which words look at this person.")
    reel.click(words.locator(".words-person").filter(has_text="Ben"))
    reel.hold(2600)
