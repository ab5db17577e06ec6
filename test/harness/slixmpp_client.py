"""A legacy client on slixmpp, driven by JSON lines: commands on standard input, events on standard output.

Usage: slixmpp_client.py JID PASSWORD PORT [carbons] [sm]: with carbons (XEP-0280) and stream management (XEP-0198) if asked for.
Commands: {"do": "send", "to", "body", "id"}, {"do": "presence", "priority", "type"},
{"do": "raw", "xml"}, {"do": "quit"}. Events: {"event": "online", "jid"}, {"event": "message", "from", "to", "id", "type", "body",
"delay", "xml"}, {"event": "presence", "from", "type", "show"}, {"event": "iq", "id", "type", "xml"}, {"event": "failed", "reason"},
{"event": "stream-error", "condition", "text"}, {"event": "disconnected", "reason"}.
"""

import asyncio
import json
import sys

import slixmpp
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


class Client(slixmpp.ClientXMPP):
    def __init__(self, jid, password, extras):
        super().__init__(jid, password)
        self.wants_carbons = "carbons" in extras
        for plugin in ("xep_0030", "xep_0199", "xep_0203", "xep_0184", "xep_0280", *(["xep_0198"] if "sm" in extras else [])):
            self.register_plugin(plugin)
        self.plugin["xep_0184"].auto_ack = False
        self["feature_mechanisms"].unencrypted_plain = True
        self["feature_mechanisms"].unencrypted_scram = True
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("failed_all_auth", lambda _: tell("failed", reason="auth"))
        self.add_event_handler("disconnected", lambda reason: tell("disconnected", reason=str(reason)))
        self.add_event_handler("stream_error", lambda error: tell("stream-error", condition=error["condition"], text=error["text"]))
        self.add_event_handler("presence", self.on_presence)
        # Not the "message" event: that one hides errors and messages without a body.
        for name, handler in (("message", self.on_message), ("iq", self.on_iq)):
            self.register_handler(Callback(f"every {name}", MatchXPath("{jabber:client}" + name), handler))

    async def started(self, _):
        await self.get_roster()
        if self.wants_carbons:
            await self.plugin["xep_0280"].enable()
        tell("online", jid=str(self.boundjid))

    def on_message(self, message):
        delay = message["delay"]["stamp"] if message.get_plugin("delay", check=True) else None
        tell(
            "message",
            **{"from": str(message["from"])},
            to=str(message["to"]),
            id=message["id"],
            type=message["type"],
            body=message["body"],
            delay=delay.isoformat() if delay else None,
            xml=str(message),
        )

    def on_presence(self, presence):
        tell("presence", **{"from": str(presence["from"])}, type=presence.xml.get("type", ""), show=presence["show"])

    def on_iq(self, iq):
        if iq["type"] in ("result", "error"):
            tell("iq", id=iq["id"], type=iq["type"], xml=str(iq))

    def obey(self, command):
        what = command["do"]
        if what == "send":
            message = self.make_message(mto=command["to"], mbody=command["body"], mtype="chat")
            if "id" in command:
                message["id"] = command["id"]
            message.send()
        elif what == "presence":
            self.send_presence(ppriority=command.get("priority"), ptype=command.get("type"))
        elif what == "raw":
            self.send_raw(command["xml"])
        elif what == "quit":
            self.disconnect()


async def main():
    jid, password, port, *extras = sys.argv[1:]
    client = Client(jid, password, extras)
    client.connect(("127.0.0.1", int(port)), use_ssl=False, force_starttls=False, disable_starttls=True)
    reader = asyncio.StreamReader(limit=2**24)
    loop = asyncio.get_event_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command = json.loads(line)
        client.obey(command)
        if command["do"] == "quit":
            break
    await asyncio.wait_for(client.disconnected, 5)


if __name__ == "__main__":
    asyncio.get_event_loop().run_until_complete(main())
