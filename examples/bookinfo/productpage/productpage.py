"""The page of one book: fetches its details, then its reviews, and renders both.

Configured by PORT, DETAILS_URL, REVIEWS_URL and UPSTREAM_TIMEOUT (seconds).
"""

import json
import os
import signal
import sys
import urllib.error
import urllib.request
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from string import Template
from urllib.parse import parse_qs, urlsplit

PORT = int(os.environ.get("PORT", "9080"))
DETAILS_URL = os.environ.get("DETAILS_URL", "http://details:9080")
REVIEWS_URL = os.environ.get("REVIEWS_URL", "http://reviews:9080")
TIMEOUT = float(os.environ.get("UPSTREAM_TIMEOUT", "10"))

PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title></head>
<body><h1>$title</h1>
<h2>Book details</h2>
<dl>$details</dl>
<h2>Book reviews</h2>
$reviews
</body></html>
""")


def fetch(url):
    """The JSON document at `url`, or None when the service behind it cannot give one: half a page is better than none."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            return json.load(response)
    except (OSError, ValueError) as failure:
        print(f"productpage: {url}: {failure}", file=sys.stderr, flush=True)
        return None


def render_details(details):
    """What is printed on the book, or an apology."""
    if details is None:
        return "<dt>Sorry</dt><dd>the details of this book are not available now.</dd>"
    shown = ("author", "year", "pages", "publisher", "language", "isbn")
    return "".join(f"<dt>{key.capitalize()}</dt><dd>{escape(str(details[key]))}</dd>" for key in shown)


def render_review(review):
    """One review, with its stars if it has any."""
    rating = review.get("rating")
    stars = "" if rating is None else f' <span style="color:{escape(rating["color"])}">{"★" * rating["stars"]}</span>'
    return f"<blockquote>{escape(review['text'])}<footer>{escape(review['reviewer'])}{stars}</footer></blockquote>"


def render_reviews(reviews):
    """All reviews, or an apology."""
    if reviews is None:
        return "<p>Sorry, reviews of this book are not available now.</p>"
    return "".join(map(render_review, reviews["reviews"]))


def render(book_id):
    """The whole page. The second call starts when the first one has ended."""
    details = fetch(f"{DETAILS_URL}/details/{book_id}")
    reviews = fetch(f"{REVIEWS_URL}/reviews/{book_id}")
    title = escape(details["title"]) if details else "A book"
    return PAGE.substitute(title=title, details=render_details(details), reviews=render_reviews(reviews))


class Handler(BaseHTTPRequestHandler):
    """Serves one connection, on a thread of its own."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together

    def do_GET(self):
        """Answer /productpage and /health."""
        url = urlsplit(self.path)
        if url.path == "/health":
            self.answer(HTTPStatus.OK, "application/json", '{"status": "productpage is healthy"}')
        elif url.path == "/productpage":
            book_id = parse_qs(url.query).get("id", ["0"])[0]
            if book_id.isdecimal():
                self.answer(HTTPStatus.OK, "text/html; charset=utf-8", render(book_id))
            else:
                self.answer(HTTPStatus.BAD_REQUEST, "application/json", '{"error": "id must be a number"}')
        else:
            self.answer(HTTPStatus.NOT_FOUND, "application/json", '{"error": "not found"}')

    def answer(self, status, content_type, text):
        """Send a whole response."""
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """A thread per connection."""

    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # as process 1 of a container it would ignore the signal
    with Server(("", PORT), Handler) as server:
        print(f"productpage listens on {PORT}", file=sys.stderr, flush=True)
        server.serve_forever()
