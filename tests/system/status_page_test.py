"""The status page in a real browser: a job is submitted with the command line and watched to its end without a reload, while the server
is killed and started again; every view is looked at in light, dark and at phone width; and fifty open pages are paid for.

Needs Debian's chromium, chromium-driver and python3-selenium. Screenshots are kept in $DISTILL_SCREENSHOT_DIR.
"""

import base64
import os
import resource
import selectors
import socket
import subprocess
import sys
import threading
import time
import unittest
import urllib.request

try:
    from selenium import webdriver
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
except ImportError:
    print("skipped: python3-selenium is not installed")
    sys.exit(77)

from authority import Authority
from product import Product, eventually, program, write_idx_dataset

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
SCREENSHOTS = os.environ.get("DISTILL_SCREENSHOT_DIR", "/tmp/distill-screenshots")
MOST_PAGE_BYTES = 200_000
PAGES = 50
MOST_CORE_SHARE = 0.05
MEASURED_SECONDS = 60

# Long enough to be watched, and killed in the middle of.
JOB = """\
display_name: watched <b>job</b>
dataset: {path: %(data)s}
modules: 3
patch_size: 14
meta: {embed_dim: 8, heads: 2}
teacher: {embed_dim: 8, heads: 2}
student:
  %(student)s
pretrain_meta: {epochs: 2, batch_size: 20}
incubate_teacher: {epochs: 2, batch_size: 20}
finetune_teacher: {epochs: 2, batch_size: 20}
distill_modules: {epochs: %(epochs)d, batch_size: 20}
finetune_student: {epochs: 2, batch_size: 20}
evaluation: {corruptions: [none], batch_size: 20}
"""
NAC = """nac: {state_dim: 8, code_dim: 8, signature_dim: 4, input_latents: 2, mediator_latents: 6, output_latents: 2, heads: 1,
        head_dim: 4, grid_channels: 4, tokenizer_stem: 2, prior: {kind: ring_of_cliques, communities: 2, fit_steps: 20}}"""
VMOE = "vmoe: {backbone: {embed_dim: 8, heads: 2, depth: 3}, experts: 3, top_k: 1}"


class Page:
    """A browser with the page in it."""

    def __init__(self, address, width=1400, height=1000, dark=False):
        options = Options()
        options.binary_location = CHROMIUM
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
                         "--hide-scrollbars"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service(DRIVER), options=options)
        self.root = f"http://{address}/"
        self.is_narrow = width < 600
        self.errors = []
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=self.is_narrow)
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.driver.get(self.root)

    def devtools(self, command, **parameters):
        return self.driver.execute_cdp_cmd(command, parameters)

    def script(self, text, *arguments):
        return self.driver.execute_script(text, *arguments)

    def find(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def text(self, css="body"):
        """All text of the elements, as people see it; '' when something changed meanwhile."""
        try:
            return "\n".join(element.text for element in self.find(css))
        except StaleElementReferenceException:
            return ""

    def await_text(self, text, css="body", seconds=90):
        try:
            eventually(lambda: text in self.text(css), "", seconds)
        except AssertionError:
            self.screenshot("failed")
            raise AssertionError(f"{css} does not say {text!r} but {self.text(css)[:2000]!r}") from None

    def go(self, view):
        self.script("location.hash = arguments[0]", view)

    def press(self, *keys):
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def focused(self):
        return self.script("return document.activeElement.textContent")

    def screenshot(self, name):
        os.makedirs(SCREENSHOTS, exist_ok=True)
        width, height = self.script("return [document.documentElement.clientWidth, document.documentElement.scrollHeight]")
        picture = self.devtools("Page.captureScreenshot", captureBeyondViewport=True,
                                clip={"x": 0, "y": 0, "width": width, "height": min(height, 4000), "scale": 1})
        with open(os.path.join(SCREENSHOTS, f"{name}.png"), "wb") as file:
            file.write(base64.b64decode(picture["data"]))

    def take_errors(self):
        """What the console has said since the last call that is an error."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def close(self):
        self.driver.quit()


class StatusPageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not os.path.exists(CHROMIUM) or not os.path.exists(DRIVER):
            raise unittest.SkipTest("chromium and chromium-driver are not installed")

    def setUp(self):
        self.product = Product()
        self.addCleanup(self.product.close)
        self.product.start_server()
        self.product.start_worker()

    def open_page(self, **how):
        page = Page(self.product.server.http, **how)
        self.addCleanup(page.close)
        return page

    def submit(self, student=VMOE, epochs=2):
        data = write_idx_dataset(self.product.path("data"), train_labels=[i % 10 for i in range(400)])
        return self.product.submit(self.product.write("job.yaml", JOB % {"data": data, "student": student, "epochs": epochs}))

    def test_job_is_watched_to_its_end_while_the_server_is_killed(self):
        page = self.open_page()
        page.await_text("No jobs yet.", "main")
        loaded = page.script("return performance.timeOrigin")
        job = self.submit(epochs=400)

        # The list shows it by itself; its name is text, whatever is in it. Keyboard only, from here on.
        page.await_text("watched <b>job</b>", "tbody")
        page.await_text("running", "tbody")
        page.screenshot("1-jobs-running")
        page.script("document.querySelector('tbody a').focus()")
        page.press(Keys.ENTER)
        page.await_text("module 0", ".card.running")
        page.await_text("step", ".card.running")
        page.await_text("loss", ".card.running")
        page.screenshot("2-job-running")

        self.check_queue(page, job)
        self.assertEqual(page.take_errors(), [])
        self.product.server.kill()
        page.await_text("reconnecting", "#connection")
        self.product.restart_killed_server()
        page.await_text("live", "#connection")
        # What a browser itself says of a server that is away.
        self.assertEqual([error for error in page.take_errors() if "net::ERR_" not in error], [])

        page.await_text("succeeded", "header.job .badge", seconds=240)
        page.await_text("finished", "#connection")
        self.assertEqual(len(page.find(".card.succeeded")), len(self.product.tasks(job)))
        page.screenshot("3-job-finished")
        self.assertEqual(page.script("return performance.timeOrigin"), loaded, "the page was loaded again")
        self.assertEqual(self.product.json("job", "get", job)["state"], "JOB_STATE_SUCCEEDED")
        self.check_keyboard(page, job)
        self.check_weight(page)
        self.assertEqual(page.take_errors(), [])

    def check_queue(self, page, job):
        """Waiting tasks are explained on demand, and no more on demand, however often the page was drawn meanwhile."""
        page.go("#/queue")
        page.await_text("distill-module-", "tbody")
        page.await_text("no free slot", "tbody")
        page.script("document.querySelector('tbody button').click()")
        page.await_text("What fails first", ".explained")
        page.screenshot("2-queue")
        page.script("document.querySelector('tbody button').click()")
        eventually(lambda: not page.find(".explained"), "the explanation is gone")
        page.go("#/jobs")
        page.await_text("watched", "tbody")
        field = page.find("input[type=search]")[0]
        field.send_keys("no such job")
        eventually(lambda: not page.find("tbody tr"), "nothing is found")
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(Keys.DELETE)
        page.await_text("watched", "tbody")
        page.go(f"#/jobs/{job}")
        page.await_text("module 0", ".card")

    def check_keyboard(self, page, job):
        """Cards are walked with the arrow keys, one is opened, and its panel has the focus."""
        page.script("document.querySelector('[data-task=pretrain-meta]').focus()")
        page.press(Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
        self.assertIn("stage 1", page.focused())
        outline = page.script("return getComputedStyle(document.activeElement).outlineStyle")
        self.assertNotEqual(outline, "none", "the focus cannot be seen")
        page.press(Keys.ENTER)
        page.await_text("incubate-teacher-1", ".panel h2")
        self.assertIn("incubate-teacher-1", page.focused())
        self.assertTrue(page.script("return location.hash").endswith(f"{job}/tasks/incubate-teacher-1"))
        page.script("document.querySelector('.panel summary').click()")
        page.await_text("task starts", ".panel .log")
        page.await_text("Loss", ".panel figcaption")
        page.screenshot("4-task")

    def check_weight(self, page):
        """Everything that the page is made of, unpacked."""
        sizes = page.script("""return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
            .filter(entry => !entry.name.includes('/api/')).map(entry => [entry.name, entry.decodedBodySize])""")
        elsewhere = [name for name, _ in sizes if not name.startswith((page.root, "blob:"))]
        self.assertEqual(elsewhere, [], "the page asks other servers")
        total = sum(size for _, size in sizes)
        self.assertGreater(total, 10_000)
        self.assertLess(total, MOST_PAGE_BYTES)
        print(f"the page weighs {total} bytes in {len(sizes)} files")

    def look_at_all_views(self, page, jobs, look):
        nac, mixture = jobs
        views = [
            ("jobs", "#/jobs", "watched", "tbody"),
            ("fleet", "#/fleet", "ready", "tbody"),
            ("queue", "#/queue", "Nothing is ready", "main"),
            ("graph", f"#/jobs/{nac}", "module 2", ".card"),
            ("curves", f"#/jobs/{nac}/curves", "Loss: Student modules", "figcaption"),
            ("module", f"#/jobs/{nac}/tasks/distill-module-1", "Accuracy on training images", ".panel figcaption"),
            ("accuracy", f"#/jobs/{nac}/accuracy", "student distilled", "tbody"),
            ("prior", f"#/jobs/{nac}/pictures", "Mediators by number of links", "figcaption"),
            ("experts", f"#/jobs/{mixture}/pictures", "Share of token visits", "figcaption"),
            ("artifacts", f"#/jobs/{nac}/artifacts", "finetune-student", "tbody"),
            ("report", f"#/jobs/{nac}/report", "Where the numbers come from", ".report h3"),
            ("compare", f"#/compare/{nac},{mixture}", "fields of their specs differ", "summary"),
        ]
        for name, view, text, css in views:
            page.go(view)
            page.await_text(text, css)
            if name == "prior":
                eventually(lambda: page.script("return document.querySelector('img.pixels')?.naturalWidth > 0"), "the picture is there")
            if page.is_narrow:
                self.assertLessEqual(page.script("return document.documentElement.scrollWidth"), 390, f"{name} is wider than a phone")
            page.screenshot(f"{look}-{name}")
            if name == "curves":
                page.script("""const select = document.querySelector('main select'); select.value = 'accuracy';
                    select.dispatchEvent(new Event('change'))""")
                page.await_text("Accuracy: Student modules", "figcaption")
                page.screenshot(f"{look}-{name}-of-accuracy")
        # From a report to what a number comes from.
        student = next(found["digest"] for found in self.product.json("task", "get", nac, "finetune-student")["results"])
        page.go(f"#/artifacts/{student}")
        page.await_text("assemble-student", ".lineage")
        page.await_text("pretrain-meta", ".lineage")
        page.screenshot(f"{look}-lineage")
        self.assertEqual(page.take_errors(), [], look)

    def test_every_view_in_light_dark_and_at_phone_width(self):
        jobs = [self.submit(NAC), self.submit(VMOE)]
        for job in jobs:
            self.product.distill("job", "wait", job)
        for look, how in (("light", {}), ("dark", {"dark": True}), ("phone", {"width": 390, "height": 844})):
            with self.subTest(look):
                page = self.open_page(**how)
                self.look_at_all_views(page, jobs, look)
                self.check_contrast(page)
                page.close()

    def check_contrast(self, page):
        """Text of the page stands out from its ground as WCAG asks (4.5 to 1)."""
        ratio = page.script("""
            const parts = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
            const light = colour => parts(colour).map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
                .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
            const style = getComputedStyle(document.body);
            const soft = getComputedStyle(document.querySelector('.bottom'));
            return [style, soft].map(s => { const [a, b] = [light(s.color), light(style.backgroundColor)].sort((x, y) => y - x);
                return (a + 0.05) / (b + 0.05); });""")
        self.assertGreaterEqual(min(ratio), 4.5)

    def test_without_scripts_there_is_a_summary(self):
        job = self.submit()
        with urllib.request.urlopen(f"http://{self.product.server.http}/", timeout=10) as reply:
            page = reply.read().decode()
            policy = reply.headers["Content-Security-Policy"]
        self.assertIn("script-src 'self'", policy)
        self.assertIn(job, page)
        self.assertIn("watched &lt;b&gt;job&lt;/b&gt;", page)

    def test_fifty_open_pages_cost_little(self):
        job = self.submit(epochs=10_000)  # Trains all the while.
        eventually(lambda: any(task["state"] == "TASK_STATE_RUNNING" and task["id"].startswith("distill") for task in self.product.tasks(job)),
                   "modules are distilled")
        alone = self.share_of_core(MEASURED_SECONDS / 2)
        with OpenPages(self.product.server.http, job) as pages:
            with_pages = self.share_of_core(MEASURED_SECONDS)
            self.assertEqual(pages.broken, 0, "some pages lost their stream")
            print(f"server alone {alone:.2%} of a core; with {PAGES} pages {with_pages:.2%}, {pages.received / MEASURED_SECONDS / 1000:.1f} kB "
                  f"and {pages.requests / MEASURED_SECONDS:.1f} further requests a second")
        self.assertLess(with_pages - alone, MOST_CORE_SHARE)

    def share_of_core(self, seconds):
        """CPU time of the server over a while, as a share of one core."""
        def used():
            with open(f"/proc/{self.product.server.process.pid}/stat", encoding="ascii") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        start, before = time.monotonic(), used()
        time.sleep(seconds)
        return (used() - before) / (time.monotonic() - start)


class StatusPageTokenTest(unittest.TestCase):
    """A server that wants to know who asks."""

    def setUp(self):
        if not os.path.exists(CHROMIUM) or not os.path.exists(DRIVER):
            self.skipTest("chromium and chromium-driver are not installed")
        self.product = Product()
        self.addCleanup(self.product.close)
        self.token = self.product.path("token")
        subprocess.run([program("distill-server"), "--data-dir", self.product.path("server"), "--issue-admin-token", self.token], check=True,
                       capture_output=True)
        self.product.start_server(*Authority(self.product.path("ca")).server_flags())

    def test_a_token_is_asked_for_and_kept_in_the_tab(self):
        page = Page(self.product.server.http)
        self.addCleanup(page.close)
        page.await_text("Who is asking?", "form.token h2")
        page.screenshot("5-token")
        # The field has the focus.
        page.press("wrong", Keys.ENTER)
        page.await_text("That token is not accepted", "form.token h2")
        with open(self.token, encoding="ascii") as file:
            page.press(file.read().strip(), Keys.ENTER)
        page.await_text("No jobs yet.", "main")
        self.assertEqual(page.find("form.token"), [])
        page.driver.refresh()
        page.await_text("No jobs yet.", "main")
        # What a browser itself says of answers with 401.
        self.assertEqual([error for error in page.take_errors() if "401" not in error], [])
        page.script("document.querySelector('#nav button').click()")
        page.await_text("Who is asking?", "form.token h2")


class OpenPages:
    """Pages that are open, without browsers: half show the list of jobs, half the job, of these some its curves, which ask anew every
    four seconds, as the page does."""

    CURVES = 10

    def __init__(self, address, job):
        host, port = address.rsplit(":", 1)
        self.address = (host, int(port))
        self.job = job
        self.broken = self.received = self.requests = 0
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._read_streams), threading.Thread(target=self._poll_curves)]

    def __enter__(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        self._selector = selectors.DefaultSelector()
        for number in range(PAGES):
            stream = socket.create_connection(self.address)
            path = "overview/events" if number % 2 else f"jobs/{self.job}/events"
            stream.sendall(f"GET /api/v1/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            self._selector.register(stream, selectors.EVENT_READ)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()

    def _read_streams(self):
        while not self._over.is_set():
            for key, _ in self._selector.select(timeout=0.2):
                data = key.fileobj.recv(1 << 20)
                self.received += len(data)
                if not data:
                    self.broken += 1
                    self._selector.unregister(key.fileobj)
                    key.fileobj.close()

    def _poll_curves(self):
        step = 0
        while not self._over.wait(4):
            for _ in range(self.CURVES):
                for module in range(3):
                    path = f"jobs/{self.job}/tasks/distill-module-{module}/series?max_points=300&after_step={step}"
                    with urllib.request.urlopen("http://%s:%d/api/v1/%s" % (*self.address, path), timeout=10) as reply:
                        self.received += len(reply.read())
                    self.requests += 1
            step += 1


if __name__ == "__main__":
    unittest.main(verbosity=2)
