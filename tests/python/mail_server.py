"""A real mail server (aiosmtpd) that writes down what it is given.

Arguments: the file to write to, then NAME=VALUE pairs: tls (starttls, implicit or none), cert, key, user, password, mute.
The first line of the file has the port; each further one is a mail, as JSON.
"""

import asyncio
import json
import ssl
import sys
from email import policy
from email.parser import BytesParser

from aiosmtpd.smtp import SMTP, AuthResult

out, *pairs = sys.argv[1:]
given = dict(pair.split("=", 1) for pair in pairs)
tls = given.get("tls", "none")


def write(line):
    with open(out, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


class Keeper:
    async def handle_DATA(self, server, session, envelope):
        mail = BytesParser(policy=policy.default).parsebytes(envelope.content)
        parts = {part.get_content_type(): part.get_content() for part in mail.walk() if not part.is_multipart()}
        write(
            {
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "headers": {name.lower(): str(value) for name, value in mail.items()},
                "names": [name.lower() for name in mail.keys()],
                "text": parts.get("text/plain"),
                "html": parts.get("text/html"),
                "encrypted": tls == "implicit" or session.ssl is not None,
                "user": session.auth_data,
            }
        )
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    fits = (data.login.decode(), data.password.decode()) == (given["user"], given["password"])
    # Not handled: the server itself is to say 535.
    return AuthResult(success=fits, handled=False, auth_data=data.login.decode() if fits else None)


async def main():
    context = None
    if tls != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(given["cert"], given["key"])

    def serve():
        login = {"authenticator": authenticate, "auth_required": True} if "user" in given else {}
        if tls == "starttls":
            return SMTP(Keeper(), tls_context=context, require_starttls=True, **login)
        return SMTP(Keeper(), auth_require_tls=False, **login)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        asyncio.Protocol if "mute" in given else serve,
        "127.0.0.1",
        int(given.get("port", "0")),
        ssl=context if tls == "implicit" else None,
    )
    write({"port": server.sockets[0].getsockname()[1]})
    await server.serve_forever()


asyncio.run(main())
