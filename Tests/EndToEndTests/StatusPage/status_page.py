"""Looks at the status page in a real Chromium, as people do: with eyes (screenshots), a keyboard, a screen reader.

Prints one line of JSON with what it found; ends with a traceback when something is not as it should be.
"""

import argparse
import json
import socket
import threading
import time
import urllib.error
import urllib.request

from browser import Browser

ROW = "document.querySelector('#credentials tbody tr')"
NAME = "const row = [...document.querySelectorAll('#credentials tbody tr')].find(row => row.textContent.includes('{}'));"


def post(url, body=b"{}"):
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"}, method="POST")
    return urllib.request.urlopen(request, timeout=20).read()


class Load:
    """Requests through the gateway until it is told to stop."""

    def __init__(self, url):
        self.url = url
        self.goes_on = True
        self.count = 0
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while self.goes_on:
            try:
                urllib.request.urlopen(self.url, timeout=20).read()
            except urllib.error.HTTPError:
                pass
            self.count += 1
            time.sleep(0.02)

    def stop(self):
        self.goes_on = False
        self.thread.join()


def tile(name):
    return f"""[...document.querySelectorAll('#totals > div')].find(
        tile => tile.firstElementChild.textContent == '{name}')?.querySelector('dd')?.textContent"""


def live(page, options, found):
    page.size(1280, 900)
    page.go(options.page)
    page.wait("document.querySelector('#headline').dataset.level == 'ok'", "all is well")
    assert "All is well" in page.run("document.querySelector('#headline-text').textContent")
    # The bar of what is left of the token shrinks, and what stands beside it counts down.
    meter = "Number(document.querySelector('#credentials [role=meter]').firstElementChild.style.transform.slice(7, -1))"
    first = page.wait(meter)
    assert 0 < first <= 1, first
    page.wait(f"{meter} < {first}", "the bar shrinks")
    # The rate moves under load.
    load = Load(options.caller + "/vinid/echo")
    try:
        page.wait(f"parseFloat({tile('Requests a second')}) > 1", "the rate under load")
        page.wait("parseFloat(document.querySelector('#routes tbody [data-label=\"Requests/s\"]').textContent) > 1")
        found["requests a second"] = page.run(tile("Requests a second"))
    finally:
        load.stop()
    page.wait(f"parseFloat({tile('Requests a second')}) == 0", "the rate after the load")


def keyboard(page, options, found):
    """From the page's start to the button by Tab alone, and Enter."""
    generation = json.load(urllib.request.urlopen(options.page + "api/credentials"))["credentials"][0]["generation"]
    page.run("document.activeElement.blur()")
    seen = []
    for _ in range(30):
        page.press("Tab")
        seen.append(page.run("document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"))
        outline = page.run("getComputedStyle(document.activeElement).outlineStyle")
        assert outline not in ("none", "hidden", ""), f"no visible focus on {seen[-1]}"
        if seen[-1] == "Refresh vinid now":
            break
    else:
        raise AssertionError(f"the button is not reached: {seen}")
    assert seen[0] == "Skip to the figures", seen
    page.press("Enter")
    page.wait("document.querySelector('#credentials .result').textContent == 'Refreshed'", "the result is shown")
    page.wait("document.querySelector('#announcer').textContent == 'vinid: Refreshed'", "the result is said")
    page.wait("/asked for/.test(document.querySelector('#credentials tbody').textContent)", "the cause of the last one")
    assert page.run("document.activeElement.getAttribute('aria-label')") == "Refresh vinid now", "the focus was lost"
    now = json.load(urllib.request.urlopen(options.page + "api/credentials"))["credentials"][0]["generation"]
    assert now == generation + 1, (generation, now)
    # The focus stays through updates that follow.
    page.run("window.before = document.activeElement")
    time.sleep(2.2)
    assert page.run("document.activeElement === window.before"), "the focus was lost by an update"
    found["tabs to the button"] = len(seen)


def tree(page, found):
    """Every control has a name; tables, headings and landmarks are what they look like."""
    nodes = page.tree()
    controls = {"button", "link", "textbox", "searchbox", "meter", "table"}
    nameless = [(role, properties) for role, name, properties in nodes if role in controls and not name.strip()]
    assert not nameless, nameless
    roles = [role for role, _, _ in nodes]
    for role in ["banner", "main", "contentinfo", "status", "meter", "columnheader", "rowheader", "heading"]:
        assert role in roles, f"no {role} among {set(roles)}"
    levels = [properties["level"] for role, _, properties in nodes if role == "heading"]
    assert levels[0] == 1 and levels.count(1) == 1 and set(levels) == {1, 2}, levels
    meters = [properties for role, name, properties in nodes if role == "meter"]
    assert all(0 <= float(properties["text"]) <= 100 for properties in meters), meters
    texts = page.run("[...document.querySelectorAll('[role=meter]')].map(meter => meter.getAttribute('aria-valuetext'))")
    assert texts and all("left" in text for text in texts), texts
    columns = page.run("[...document.querySelectorAll('thead th')].every(head => head.scope == 'col')")
    rows = page.run("[...document.querySelectorAll('tbody tr')].every(row => row.querySelector('th[scope=row]'))")
    captions = page.run("[...document.querySelectorAll('table')].every(table => table.caption?.textContent)")
    assert columns and rows and captions
    found["nodes"] = len(nodes)


CONTRAST = """(() => {
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  let worst = [99, ''];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || ['STYLE', 'SCRIPT'].includes(element.tagName)) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < worst[0]) worst = [contrast, walker.currentNode.data.slice(0, 60)];
  }
  return worst;
})()"""


def looks(page, options, found, name):
    """Nothing to be scrolled sideways, and contrast by WCAG 2.2 AA, at each width in both themes."""
    grounds = set()
    for width in [360, 768, 1280, 2000]:
        for dark in [False, True]:
            page.size(width, 900, dark=dark)
            time.sleep(0.1)
            needed = page.run("document.documentElement.scrollWidth")
            assert needed <= width, f"{needed} px at a width of {width}"
            contrast, text = page.run(CONTRAST)
            assert contrast >= 4.5, f"{contrast:.2f} for “{text}”, {'dark' if dark else 'light'}"
            grounds.add(page.run("getComputedStyle(document.body).backgroundColor"))
            if options.shots:
                page.picture(f"{options.shots}/{name}-{width}-{'dark' if dark else 'light'}.png")
    assert len(grounds) == 2, f"one theme only: {grounds}"
    page.size(1280, 900, calm=True)
    motion = page.run("getComputedStyle(document.querySelector('.meter > div')).transitionDuration")
    assert motion in ("0s", ""), motion
    page.size(1280, 900)


def dead_token(page, options, found):
    post(options.control + "/control/vinid/kill")
    page.run("[...document.querySelectorAll('#credentials button')].find(b => b.textContent == 'Refresh now').click()")
    page.wait("document.querySelector('#credentials tbody').textContent.includes('gateway login vinid')", "the command")
    page.wait("document.querySelector('#headline').textContent.includes('gateway login vinid')", "what to do")
    page.wait("/Failed: needs login/.test(document.querySelector('#credentials .result').textContent)", "the result")
    colour = page.run("getComputedStyle(document.querySelector('#credentials .command code')).color")
    red, green, blue = [int(part) for part in colour.strip("rgb()").split(",")]
    assert red > 150 and green < 80 and blue < 80, colour
    page.wait("document.querySelector('#announcer').textContent.includes('needs a login')", "screen readers are told")
    page.wait("document.title.includes('!') || document.title.includes('✕')", "other tabs show it")
    # Said once, not each second.
    page.run("window.said = 0; new MutationObserver(() => { window.said += 1; })"
             ".observe(document.querySelector('#announcer'), { childList: true, characterData: true, subtree: true })")
    time.sleep(3.3)
    assert page.run("window.said") == 0, page.run("document.querySelector('#announcer').textContent")
    # A browser says by itself that an answer was none of 200.
    page.complaints = [text for text in page.complaints if "502" not in text]


class Relay:
    """Carries bytes to the admin listener, and can be cut like a cable."""

    def __init__(self, url):
        host, port = url.split("/")[2].rsplit(":", 1)
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sockets = []
        self.is_cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            near, _ = self.listener.accept()
            if self.is_cut:
                near.close()
                continue
            far = socket.create_connection(self.target)
            self.sockets += [near, far]
            for source, sink in [(near, far), (far, near)]:
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    @staticmethod
    def _carry(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def cut(self):
        self.is_cut = True
        for end in self.sockets:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()
        self.sockets = []


def cut(browser, options, found):
    """The stream is cut: the page says so, and comes back by itself."""
    relay = Relay(options.page)
    page = browser.open(f"http://127.0.0.1:{relay.port}/")
    page.size(1280, 900)
    page.wait("document.querySelector('#live').dataset.state == 'live'")
    relay.cut()
    page.wait("document.querySelector('#live').dataset.state == 'stale'", "the stale mark")
    page.wait("/figures are .* old/.test(document.querySelector('#live').textContent)")
    page.wait("document.querySelector('#announcer').textContent.includes('is lost')", "screen readers are told")
    if options.shots:
        page.picture(f"{options.shots}/stale.png")
    relay.is_cut = False
    page.wait("document.querySelector('#live').dataset.state == 'live'", "it comes back")
    # That much a browser says by itself about requests that fail.
    page.complaints = [text for text in page.complaints if "net::ERR" not in text]
    check(page)


def check(page):
    assert not page.complaints, page.complaints


def small(browser, options, found):
    page = browser.open()
    live(page, options, found)
    tree(page, found)
    looks(page, options, found, "well")
    keyboard(page, options, found)
    dead_token(page, options, found)
    tree(page, found)
    looks(page, options, found, "login")
    check(page)
    own = set(url for url in page.requests if not url.startswith((options.page, "data:")))
    assert not own, own
    cut(browser, options, found)


def large(browser, options, found):
    """Very many routes: the page stays quick, and finds the one that is asked for."""
    page = browser.open()
    page.size(1280, 900)
    page.go(options.page)
    page.wait("document.querySelectorAll('#routes tbody tr').length == 100", "the first hundred rows")
    page.run("""new PerformanceObserver(list => { window.longest = Math.max(window.longest ?? 0,
        ...list.getEntries().map(entry => entry.duration)); }).observe({ entryTypes: ['longtask'] })""")
    page.run("document.querySelector('#routes .more').click()")
    page.wait(f"document.querySelectorAll('#routes tbody tr').length == {options.routes}", "all rows")
    time.sleep(3)
    found["longest task in ms"] = page.run("window.longest ?? 0")
    assert found["longest task in ms"] < 2000, found
    page.run("document.querySelector('#routes-filter').focus()")
    page.type("name-77")
    page.wait("[...document.querySelectorAll('#routes tbody th')].every(cell => cell.textContent.includes('name-77'))")
    found["filtered"] = page.run("document.querySelectorAll('#routes tbody tr').length")
    # One that fails comes first, whatever its place.
    page.run("const box = document.querySelector('#routes-filter'); box.value = ''; box.dispatchEvent(new Event('input'))")
    page.run("document.activeElement.blur()")
    load = Load(options.caller + f"/r{options.routes - 1}/")
    try:
        page.wait(f"document.querySelector('#routes tbody tr').textContent.includes('name-{options.routes - 1}with')",
                  "the failing route is first")
    finally:
        load.stop()
    if options.shots:
        page.size(2000, 1200)
        page.picture(f"{options.shots}/large.png", whole=False)
    check(page)


def token(browser, options, found):
    page = browser.open()
    page.size(1280, 900)
    page.go(options.page)
    page.wait("!document.querySelector('#token-form').hidden", "the token is asked for")
    assert page.run("document.activeElement.id") == "token"
    page.type("wrong")
    page.press("Enter")
    page.wait("document.querySelector('#token-error').textContent.includes('does not take')", "it is asked for again")
    page.type(options.token)
    page.press("Enter")
    page.wait("document.querySelector('#live').dataset.state == 'live'", "it is taken")
    page.wait("document.querySelector('#token-form').hidden", "nobody is asked any more")
    leaks = [url for url in page.requests if options.token in url]
    assert not leaks and options.token not in page.run("location.href") and not page.run("document.cookie"), leaks
    # It is kept in the tab, and in no other.
    page.go(options.page)
    page.wait("document.querySelector('#live').dataset.state == 'live'", "after loading the page again")
    assert page.run("localStorage.length") == 0
    refused = [text for text in page.complaints if "401" not in text]
    assert not refused, refused


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["small", "large", "token"])
    parser.add_argument("--page", required=True, help="the status page's URL, with a slash at its end")
    parser.add_argument("--caller", default="", help="where the gateway's callers connect")
    parser.add_argument("--control", default="", help="the sandbox's control port")
    parser.add_argument("--routes", type=int, default=0)
    parser.add_argument("--token", default="")
    parser.add_argument("--shots", help="a folder for pictures")
    options = parser.parse_args()
    found = {}
    with Browser() as browser:
        {"small": small, "large": large, "token": token}[options.part](browser, options, found)
    print(json.dumps(found))


main()
