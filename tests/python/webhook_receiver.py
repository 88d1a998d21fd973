"""An endpoint that checks signatures with the official `standardwebhooks` package.

Arguments: the file to write to, and a file that holds the endpoint's secret, read anew for each request. The first line
written has the port; each further one is a request, as JSON: whether its signature is right, and whether the same headers
with another body are refused.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

out, secret_file = sys.argv[1:]


def write(line):
    with open(out, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def verifies(body, headers):
    with open(secret_file, encoding="utf-8") as file:
        webhook = Webhook(file.read().strip())
    try:
        webhook.verify(body, headers)
        return True
    except WebhookVerificationError:
        return False


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        altered = body.replace(b"type", b"tYpe", 1)
        assert altered != body
        verified = verifies(body, headers)
        write(
            {
                "verified": verified,
                "altered": verifies(altered, headers),
                "headers": headers,
                "body": json.loads(body),
            }
        )
        self.send_response(204 if verified else 401)
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Receiver)
write({"port": server.server_port})
server.serve_forever()
