"""A headless Chromium that is driven by the DevTools protocol: what the tests of the status page look through."""

import base64
import ctypes
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request

from websockets.sync.client import connect


class Browser:
    """One browser with a profile of its own, closed and removed at the end of `with`."""

    def __init__(self, program="chromium"):
        self.profile = tempfile.mkdtemp(prefix="status-page-")
        arguments = [
            program, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={self.profile}",
            "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--mute-audio",
        ]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")
        self.log = open(os.path.join(self.profile, "log"), "w+b")
        self.process = subprocess.Popen(
            arguments + ["about:blank"], stdout=self.log, stderr=self.log, start_new_session=True,
            preexec_fn=Browser._die_with_parent)
        self.port = self._wait_for_port()

    @staticmethod
    def _die_with_parent():
        """A test that takes too long is killed; its browser must not stay. PR_SET_PDEATHSIG, SIGKILL."""
        ctypes.CDLL(None).prctl(1, 9)

    def _wait_for_port(self):
        place = os.path.join(self.profile, "DevToolsActivePort")
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            if os.path.exists(place):
                lines = open(place).read().split("\n")
                if len(lines) > 1:
                    return int(lines[0])
            time.sleep(0.05)
        self.log.seek(0)
        raise RuntimeError("the browser does not start: " + self.log.read().decode(errors="replace")[-2000:])

    def open(self, url="about:blank"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/json/new?about:blank", method="PUT")
        target = json.load(urllib.request.urlopen(request, timeout=30))
        page = Page(target["webSocketDebuggerUrl"])
        if url != "about:blank":
            page.go(url)
        return page

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Its children are in its process group, which is of our making.
        try:
            os.killpg(self.process.pid, 15)
            self.process.wait(timeout=10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.profile, ignore_errors=True)


class Page:
    """One tab. Everything that its console says is kept, with violations of the content security policy."""

    def __init__(self, url):
        self.socket = connect(url, max_size=None, open_timeout=30)
        self.number = 0
        self.complaints = []
        self.requests = []
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"]:
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(timeout=30))
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self._note(message)

    def _note(self, message):
        parameters = message.get("params", {})
        method = message.get("method")
        if method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(parameters["args"]))
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(parameters["exceptionDetails"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.complaints.append(parameters["entry"]["text"] + " " + parameters["entry"].get("url", ""))
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])

    def go(self, url):
        self.call("Page.navigate", url=url)
        self.wait(f"location.href == {json.dumps(url)} && document.readyState == 'complete'")

    def run(self, script):
        """The value of an expression, as JSON has it."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, script, what=None, seconds=30):
        """Until the expression is true, and returns its value."""
        end = time.monotonic() + seconds
        while True:
            value = self.run(f"(() => {{ const value = {script}; return value instanceof Node ? true : value; }})()")
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s: {what or script}; the page says: " + str(self.text())[:1500])
            time.sleep(0.05)

    def text(self):
        return self.run("document.body?.innerText")

    def size(self, width, height, *, dark=False, calm=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if calm else "no-preference"},
        ])

    def picture(self, path, whole=True):
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def press(self, key):
        """A key as a person presses it."""
        code = {"Tab": 9, "Enter": 13, "Escape": 27}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ["keyDown", "keyUp"]:
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code,
                nativeVirtualKeyCode=code, **(text if kind == "keyDown" else {}))

    def type(self, text):
        self.call("Input.insertText", text=text)

    def tree(self):
        """What screen readers are given: (role, name, properties) of all that is not ignored."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        found = []
        for node in nodes:
            if node.get("ignored"):
                continue
            properties = {p["name"]: p["value"].get("value") for p in node.get("properties", [])}
            properties["text"] = str(node.get("value", {}).get("value", ""))
            found.append((node["role"].get("value"), node.get("name", {}).get("value", ""), properties))
        return found
