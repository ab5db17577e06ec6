"""The same bridge in Python: slixmpp and Paho as they come, QoS 1, no ledger, no acknowledgement (see bridge.ts)."""

import json
import os

import paho.mqtt.client as mqtt
import slixmpp

DOMAIN = "python.example.com"
xmpp = slixmpp.ComponentXMPP(DOMAIN, "a-fake-secret", "127.0.0.1", int(os.environ["XMPP_PORT"]))
broker = mqtt.Client()
broker.username_pw_set(os.environ["MQTT_USER"], os.environ["MQTT_PASSWORD"])


def on_stanza(message):
    user = message["to"].user
    fields = {name: str(message[name]) for name in ("id", "from", "to", "type", "body")}
    broker.publish(f"chat/{user}/in/message", json.dumps(fields, ensure_ascii=False), qos=1)


def on_publish(_client, _userdata, packet):
    payload = json.loads(packet.payload)
    sender = f"{packet.topic.split('/')[1]}@{DOMAIN}"
    message = xmpp.make_message(payload["to"], payload["body"], mtype=payload["type"], mfrom=sender)
    message["id"] = payload["id"]
    xmpp.loop.call_soon_threadsafe(message.send)


xmpp.add_event_handler("message", on_stanza)
broker.on_message = on_publish
broker.connect("127.0.0.1", int(os.environ["MQTT_PORT"]))
broker.subscribe("chat/+/python/message", qos=1)
broker.loop_start()
xmpp.connect()
xmpp.process()
