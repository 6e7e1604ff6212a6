"""A real mail server on loopback that keeps what it is sent."""

import socket

from aiosmtpd.controller import Controller


class Mailbox:
    def __init__(self):
        self.mails = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self.controller.start()

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((envelope.rcpt_tos, envelope.content.decode("utf-8", "replace")))
        return "250 kept"

    def stop(self):
        self.controller.stop()
