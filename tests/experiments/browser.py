"""Chromium, spoken to by the DevTools protocol over a pair of pipes."""

import json
import os
import shutil
import subprocess
import sys
import threading

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome-headless-shell")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run")
SECONDS = 120

# The browser reads from file 3 and writes to file 4.
LAUNCHER = "import os, sys; [os.dup2(int(sys.argv[n]), n + 2) for n in (1, 2)]; os.execvp(sys.argv[3], sys.argv[3:])"


class Browser:
    """A browser with one page; a context manager. `said` are its console's messages and its scripts' errors."""

    def __init__(self, profile):
        theirs, self._to = os.pipe()
        self._from, ours = os.pipe()
        ends = [os.dup(os.dup(os.dup(end))) for end in (theirs, ours)]  # neither is 3 or 4
        command = [sys.executable, "-c", LAUNCHER, *map(str, ends), CHROMIUM, *FLAGS, f"--user-data-dir={profile}"]
        self._process = subprocess.Popen(command, pass_fds=ends, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for end in (theirs, ours, *ends):
            os.close(end)
        self._alarm = threading.Timer(SECONDS, self._process.kill)  # a hang ends in an error
        self._alarm.start()
        self._rest, self._count, self.said, self._session = b"", 0, [], {}

    def __enter__(self):
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = {"sessionId": session}
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")
        return self

    def __exit__(self, *exception):
        self._alarm.cancel()
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)

    def ask(self, method, **parameters):
        """The answer to a command."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters, **self._session}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        answer = self._wait(lambda message: message.get("id") == self._count)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, path, width=1280, height=900):
        """Shows a file in a window of so many pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.ask("Page.navigate", url=path.as_uri())
        self._wait(lambda message: message.get("method") == "Page.loadEventFired")

    def run(self, script):
        """The value of a JavaScript expression, which may be a promise."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key, code):
        """A key, as from the keyboard."""
        for kind in ("rawKeyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def _wait(self, condition):
        while True:
            *whole, self._rest = self._rest.split(b"\0")
            for index, content in enumerate(whole):
                message = json.loads(content)
                self._note(message)
                if condition(message):
                    self._rest = b"\0".join([*whole[index + 1 :], self._rest])
                    return message
            part = os.read(self._from, 1 << 20)
            if not part:
                raise ConnectionError(f"{CHROMIUM} is gone")
            self._rest += part

    def _note(self, message):
        if message.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.said.append(json.dumps(message["params"]))
