"""A browser to test with: Chromium behind chromedriver, spoken to in the WebDriver protocol."""
import base64
import json
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def find():
    """(browser, driver), or None when either is missing."""
    browser = next((shutil.which(name) for name in CHROMIUM if shutil.which(name)), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


class Browser:
    def __init__(self):
        browser, driver = find()
        self.profile = tempfile.mkdtemp(prefix="snarl-browser-")
        self.driver = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.driver.stdout:
            started = re.search(r"started successfully on port (\d+)", line)
            if started:
                break
        self.base = f"http://127.0.0.1:{started.group(1)}/session"
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage",
                     "--user-data-dir=" + self.profile]
        session = self.ask("POST", "", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": {"binary": browser, "args": arguments}, "goog:loggingPrefs": {"browser": "ALL"},
            "unhandledPromptBehavior": "ignore"}}})
        self.base += "/" + session["sessionId"]

    def close(self):
        try:
            self.ask("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.driver.stdout.close()
            shutil.rmtree(self.profile, True)

    def ask(self, method, path, body=None):
        data = None if method in ("GET", "DELETE") else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as e:
            raise RuntimeError(e.read().decode()[:500]) from None

    def chrome(self, command, **parameters):
        return self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, path, anchor=""):
        self.ask("POST", "/url", {"url": "about:blank"})
        self.ask("POST", "/url", {"url": "file://" + path + anchor})

    def size(self, width, height=900):
        self.chrome("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, name):
        self.chrome("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def scripts(self, on):
        self.chrome("Emulation.setScriptExecutionDisabled", value=not on)

    def run(self, script, *arguments):
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def elements(self, query):
        return [e[ELEMENT] for e in self.ask("POST", "/elements", {"using": "css selector", "value": query})]

    def click(self, query, which=0):
        self.ask("POST", f"/element/{self.elements(query)[which]}/click")

    def type(self, query, text):
        self.ask("POST", f"/element/{self.elements(query)[0]}/value", {"text": text})

    def text(self, query):
        """What is seen of each element; nothing of hidden ones."""
        return [self.ask("GET", f"/element/{e}/text") for e in self.elements(query)]

    def pointer(self, *actions):
        """("pointerMove", x, y), ("pointerDown",), ("pointerUp",)"""
        steps = [{"type": a[0], "button": 0, **({"x": a[1], "y": a[2], "duration": 20} if len(a) > 1 else {})} for a in actions]
        self.ask("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": steps}]})
        self.ask("DELETE", "/actions")

    def log(self):
        return [entry["message"] for entry in self.ask("POST", "/se/log", {"type": "browser"})]

    def picture(self, path):
        with open(path, "wb") as f:
            f.write(base64.b64decode(self.ask("GET", "/screenshot")))

    def pages(self):
        """How many pages a print has."""
        pdf = base64.b64decode(self.ask("POST", "/print", {"background": True}))
        return len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf))
