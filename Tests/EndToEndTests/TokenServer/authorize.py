"""What a person with a browser does at token_server.py: opens the URL, logs in, consents, and is sent on.

Follows the pages' own forms, with their cookies and hidden fields. Prints the address that the server sends the browser
to, and what is found there with --follow.
"""

import argparse
import http.cookiejar
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("url")
options.add_argument("--deny", action="store_true", help="press Cancel on the consent page")
options.add_argument("--follow", action="store_true", help="open the address that the server names")
options.add_argument("--user", default="person")
options.add_argument("--password", default="made-up-password")
options = options.parse_args()
origin = urllib.parse.urlsplit(options.url)[:2]


class Page(HTMLParser):
    """The fields of a page's form."""

    def __init__(self, text):
        super().__init__()
        self.fields, self.buttons, self.action = {}, [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form":
            self.action = attributes.get("action", "")
        if tag == "input" and attributes.get("type") == "submit":
            self.buttons.append((attributes.get("name"), attributes.get("value", "")))
        elif tag == "input" and attributes.get("name"):
            self.fields[attributes["name"]] = attributes.get("value", "")


class StayAtTheServer(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, request, file, code, message, headers, url):
        if urllib.parse.urlsplit(url)[:2] != origin:
            return None
        return super().redirect_request(request, file, code, message, headers, url)


browser = urllib.request.build_opener(
    urllib.request.ProxyHandler({}),
    urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
    StayAtTheServer,
)


def visit(url, fields=None):
    """The page that a request ends on, or the address to which it leads elsewhere."""
    body = urllib.parse.urlencode(fields).encode() if fields is not None else None
    try:
        with browser.open(urllib.request.Request(url, body, {"Referer": url}), timeout=30) as answer:
            return answer.url, answer.read().decode()
    except urllib.error.HTTPError as error:
        if error.code in (301, 302, 303, 307):
            return error.headers["Location"], None
        raise SystemExit(f"{error.code} at {url}: {error.read().decode()[:500]}") from error


url, text = visit(options.url)
for _ in range(4):
    if text is None:
        break
    page = Page(text)
    if page.action is None:
        raise SystemExit(f"no form at {url}: {text[:500]}")
    if "password" in page.fields:
        page.fields.update(username=options.user, password=options.password)
        name = None
    else:
        name = "allow" if not options.deny else None
        assert name in dict(page.buttons), page.buttons
    if name:
        page.fields[name] = dict(page.buttons)[name]
    else:
        page.fields.pop("allow", None)
    url, text = visit(urllib.parse.urljoin(url, page.action), page.fields)
if text is not None:
    raise SystemExit(f"not sent on from {url}")
print(url, flush=True)
if options.follow:
    try:
        with browser.open(url, timeout=30) as answer:
            print(answer.status, answer.read().decode())
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode())
