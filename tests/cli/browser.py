"""Opens a page in headless Chromium, over its debugging pipe, and prints what it looks like as JSON.

    browser.py PAGE FOLDER PREFIX

Screenshots of a phone and a desk, light and dark, and a PDF of the print go to FOLDER/PREFIX-*. The JSON holds `errors`
(what the console and the network reported), `requests` (addresses other than the page's own) and `scroll`, the width
of the page in each view, `held_out`, the colours of held-out curves in it, `ids` of all figures with their heights, and `narrowest`, the width of
the narrowest track of a bar, both on the phone, and `twice`, the ids that are not one element's alone.
"""
import base64, json, os, pathlib, subprocess, sys, tempfile

VIEWS = {"390-light": (390, "light"), "390-dark": (390, "dark"), "1280-light": (1280, "light"), "1280-dark": (1280, "dark")}
FIGURES = """JSON.stringify(Object.fromEntries([...document.querySelectorAll('[id]')].filter(e => !e.closest('svg')).map(
    e => [e.id, Math.round(e.getBoundingClientRect().height)])))"""
TRACK = "Math.min(...[...document.querySelectorAll('.row .track')].map(e => Math.round(e.getBoundingClientRect().width)))"

HELD_OUT = "[...new Set([...document.querySelectorAll('#curves .gnuplot_plot_2 path')].map(e => getComputedStyle(e).stroke))].join()"
TWICE = "JSON.stringify([...document.querySelectorAll('[id]')].map(e => e.id).filter((id, i, all) => all.indexOf(id) < i))"


class Browser:
    """Chromium with a pipe each way: messages of JSON, each ended by a zero byte."""

    def __init__(self, profile):
        to_read, self.write = os.pipe()
        self.read, to_write = os.pipe()
        # the browser's ends have to be its descriptors 3 and 4
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", f'exec "$@" 3<&{to_read} 4>&{to_write}', "bash", "chromium", "--headless", "--no-sandbox",
             "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe", f"--user-data-dir={profile}"],
            env={**os.environ, "TMPDIR": profile}, pass_fds=(to_read, to_write), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        os.close(to_read)
        os.close(to_write)
        self.rest, self.number, self.session, self.events = b"", 0, None, []

    def message(self):
        while b"\0" not in self.rest:
            part = os.read(self.read, 1 << 20)
            if not part:
                sys.exit("browser.py: the browser ended")
            self.rest += part
        one, self.rest = self.rest.split(b"\0", 1)
        return json.loads(one)

    def call(self, method, **params):
        self.number += 1
        request = {"id": self.number, "method": method, "params": params}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.write, json.dumps(request).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("id") == self.number:
                if "error" in answer:
                    sys.exit(f"browser.py: {method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def evaluate(self, expression):
        return self.call("Runtime.evaluate", expression=expression)["result"]["value"]

    def wait_for(self, event):
        while not any(e.get("method") == event for e in self.events):
            self.events.append(self.message())


def main(page, folder, prefix):
    address, base = pathlib.Path(page).resolve().as_uri(), os.path.join(folder, prefix)
    seen = {"scroll": {}, "held_out": {}}
    # not in TMPDIR: the browser's socket lies there, whose path has 107 bytes at most
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as profile:
        b = Browser(profile)
        target = b.call("Target.createTarget", url="about:blank")["targetId"]
        b.session = b.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in "Page", "Log", "Runtime", "Network":
            b.call(domain + ".enable")
        b.call("Page.navigate", url=address)
        b.wait_for("Page.loadEventFired")
        for name, (width, scheme) in VIEWS.items():
            b.call("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 500)
            b.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            seen["scroll"][name] = b.evaluate("document.documentElement.scrollWidth")
            seen["held_out"][name] = b.evaluate(HELD_OUT)
            if name == "390-light":
                seen["twice"] = json.loads(b.evaluate(TWICE))
                seen["ids"] = json.loads(b.evaluate(FIGURES))
                seen["narrowest"] = b.evaluate(TRACK)
            shot = b.call("Page.captureScreenshot", captureBeyondViewport=True)
            pathlib.Path(f"{base}-{name}.png").write_bytes(base64.b64decode(shot["data"]))
        b.call("Emulation.clearDeviceMetricsOverride")
        pdf = b.call("Page.printToPDF", printBackground=False)["data"]
        pathlib.Path(f"{base}-print.pdf").write_bytes(base64.b64decode(pdf))
        seen["errors"] = [e["params"] for e in b.events
                          if e.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Network.loadingFailed")]
        asked = [e["params"]["request"]["url"] for e in b.events if e.get("method") == "Network.requestWillBeSent"]
        seen["requests"] = [url for url in asked if url != address and not url.startswith("data:")]
        b.session = None
        b.call("Browser.close")
        b.process.wait()
    print(json.dumps(seen))


main(*sys.argv[1:])
