"""The page of `cleave report` in headless Chromium: no console error, every figure visible on wide and
narrow screens, light and dark, and tool tips by pointer and by keyboard.

report_browser_test.py CLEAVE REPORT_PROBE. Needs chromium, chromedriver and selenium: status 77,
which ctest counts as skipped, without them.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

CLEAVE, PROBE = (os.path.abspath(p) for p in sys.argv[1:3])
SKIPPED = 77

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
except ImportError:
    print("no python3-selenium")
    sys.exit(SKIPPED)

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not (CHROMIUM and DRIVER and shutil.which("gnuplot")):
    print("no chromium, chromedriver or gnuplot")
    sys.exit(SKIPPED)


class Browser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        home = Path(cls.directory.name)
        cls.pages = {}
        for kind, workload in (("strong", "ep"), ("schedule", "ep"), ("layout", "<script>alert(1)</script>")):
            subprocess.run([PROBE, home / kind, kind, workload], check=True)
            subprocess.run([CLEAVE, "report", home / kind, "-o", home / f"{kind}-out"], check=True,
                           stdout=subprocess.DEVNULL)
            cls.pages[kind] = (home / f"{kind}-out" / "report.html").as_uri()
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                         f"--user-data-dir={home / 'profile'}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        cls.browser = webdriver.Chrome(service=Service(DRIVER), options=options)

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        cls.directory.cleanup()

    def open(self, kind, width, dark=False):
        """The page at a width of the inside, which a window of a desktop cannot have below 500."""
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
        self.browser.get(self.pages[kind])

    def figures(self):
        return self.browser.find_elements(By.CSS_SELECTOR, "figure svg")

    def test_nothing_is_wrong_on_the_console(self):
        for kind in self.pages:
            self.open(kind, 1280)
            self.assertEqual([], self.browser.get_log("browser"))

    def test_every_figure_is_visible_and_nothing_scrolls_sideways(self):
        for kind in self.pages:
            for width in (1280, 400):
                with self.subTest(kind=kind, width=width):
                    self.open(kind, width)
                    self.assertEqual(width, self.browser.execute_script("return innerWidth"))
                    self.assertLessEqual(
                        self.browser.execute_script("return document.documentElement.scrollWidth"), width)
                    figures = self.figures()
                    self.assertGreater(len(figures), 4)
                    for figure in figures:
                        box = figure.rect
                        self.assertTrue(figure.is_displayed())
                        self.assertGreater(box["width"], 300)
                        self.assertGreater(box["height"], 200)
                        self.assertGreaterEqual(box["x"], 0)
                        self.assertLessEqual(box["x"] + box["width"], width)

    def test_texts_lie_inside_their_figures(self):
        outside = """
            const found = [];
            for (const svg of document.querySelectorAll('figure svg')) {
              const frame = svg.getBoundingClientRect();
              for (const text of svg.querySelectorAll('text')) {
                const box = text.getBoundingClientRect();
                if (box.left < frame.left - 1 || box.right > frame.right + 1 ||
                    box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
                  found.push(text.textContent);
              }
            }
            return found;"""
        for kind in self.pages:
            self.open(kind, 1280)
            self.assertEqual([], self.browser.execute_script(outside))

    def test_a_tool_tip_appears_under_the_pointer_and_the_focus(self):
        for width in (1280, 400):
            self.open("strong", width)
            tip = self.browser.find_element(By.ID, "tip")
            self.assertFalse(tip.is_displayed())
            hit = self.browser.find_element(By.CSS_SELECTOR, "#time .hit")
            self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", hit)
            ActionChains(self.browser).move_to_element(hit).perform()
            self.assertTrue(tip.is_displayed())
            self.assertRegex(tip.text, r"1 rank x 1 thread: 24.* s \[.*\], 30 samples")
            box = tip.rect
            self.assertGreaterEqual(box["x"], 0)
            self.assertLessEqual(box["x"] + box["width"], width)
            ActionChains(self.browser).send_keys(Keys.ESCAPE).perform()
            self.assertFalse(tip.is_displayed())
            other = self.browser.find_elements(By.CSS_SELECTOR, "#time .hit")[1]
            self.browser.execute_script("arguments[0].focus()", other)
            self.assertRegex(tip.text, r"2 ranks x 1 thread: 12")

    def test_points_lie_under_their_tips(self):
        """gnuplot draws where the page believes that it does."""
        self.open("strong", 1280)
        apart = self.browser.execute_script("""
            const centre = (e) => { const b = e.getBoundingClientRect();
              return [b.left + b.width / 2, b.top + b.height / 2]; };
            const drawn = [...document.querySelectorAll('#time svg > g:not(.hits) use')].map(centre);
            return [...document.querySelectorAll('#time .hit')].map((hit) => {
              const [x, y] = centre(hit);
              return Math.min(...drawn.map(([u, v]) => Math.hypot(u - x, v - y)));
            });""")
        self.assertEqual(7, len(apart))
        self.assertLess(max(apart), 2)

    def test_dark_and_light_differ_and_are_readable(self):
        colours = """
            const style = getComputedStyle(document.body);
            const text = document.querySelector('figure svg text');
            return [style.backgroundColor, style.color, getComputedStyle(text).fill];"""
        seen = []
        for dark in (False, True):
            self.open("strong", 1280, dark)
            page, ink, text = self.browser.execute_script(colours)
            self.assertEqual(ink, text)
            self.assertNotEqual(page, ink)
            seen.append(page)
        self.assertNotEqual(*seen)


if __name__ == "__main__":
    sys.exit(unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=1))
