"""A script that runs before Gradio's own, so that the page is there sooner; what `head` brings runs after it."""

from __future__ import annotations

from ui.theme import script

MODULE = b'<script type="module"'  # Gradio's own, in the page
SCRIPT = f"<script>{script('quick_page.js')}</script>".encode()


class QuickPage:
    """ASGI middleware: puts the script into the page, before Gradio's. Any other answer stays as it is."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"].strip("/"):
            await self.app(scope, receive, send)
            return
        start, body = {}, b""

        async def whole(message):
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            body = body.replace(MODULE, SCRIPT + MODULE, 1)
            length = (b"content-length", b"%d" % len(body))
            headers = [h for h in start.get("headers", ()) if h[0].lower() != length[0]]
            await send({**start, "headers": [*headers, length]})
            await send({**message, "body": body})

        await self.app(scope, receive, whole)
