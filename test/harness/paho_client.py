"""An app's MQTT side on Paho, driven by JSON lines: commands on standard input, events on standard output.

Usage: paho_client.py CLIENT_ID USERNAME PASSWORD PORT ROOT VERSION(3|5). It keeps a persistent session, publishes its presence
retained with a will, and subscribes to what is for its user. Commands: {"do": "publish", "channel", "payload"}, {"do": "drop"}
(ends the process without DISCONNECT), {"do": "quit"} (presence offline, then DISCONNECT). Events: {"event": "online"},
{"event": "message", "channel", "payload"}, {"event": "published", "mid"}, {"event": "failed", "reason"}.
With ACK=1 in the environment every message with a key is acknowledged by out/ack.
"""

import json
import os
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

client_id, username, password, port, root, version = sys.argv[1:7]
out = threading.Lock()
base = f"{root}/{username}"


def tell(event, **fields):
    with out:
        print(json.dumps({"event": event, **fields}), flush=True)


def on_connect(client, _userdata, _flags, code, _properties=None):
    if code != 0:
        tell("failed", reason=str(code))
        return
    client.subscribe(f"{base}/in/#", qos=1)


def on_subscribe(client, *_):
    client.publish(f"{base}/presence/{client_id}", json.dumps({"online": True}), qos=1, retain=True)
    tell("online")


def on_message(client, _userdata, message):
    payload = json.loads(message.payload)
    tell("message", channel=message.topic.rsplit("/", 1)[1], payload=payload)
    if os.environ.get("ACK") == "1" and "key" in payload:
        client.publish(f"{base}/out/ack", json.dumps({"keys": [payload["key"]], "device": client_id}), qos=1)


if version == "5":
    client = mqtt.Client(client_id, protocol=mqtt.MQTTv5)
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 86400
    start = {"clean_start": False, "properties": properties}
else:
    client = mqtt.Client(client_id, clean_session=False)
    start = {}
client.username_pw_set(username, password)
client.will_set(f"{base}/presence/{client_id}", json.dumps({"online": False}), qos=1, retain=True)
client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
client.on_publish = lambda _client, _userdata, mid: tell("published", mid=mid)
client.max_queued_messages_set(0)
client.max_inflight_messages_set(200)
client.connect("127.0.0.1", int(port), keepalive=30, **start)
client.loop_start()
for line in sys.stdin:
    command = json.loads(line)
    if command["do"] == "publish":
        client.publish(f"{base}/out/{command['channel']}", json.dumps(command["payload"]), qos=command.get("qos", 1))
    elif command["do"] == "drop":
        os._exit(0)
    elif command["do"] == "quit":
        client.publish(f"{base}/presence/{client_id}", json.dumps({"online": False}), qos=1, retain=True).wait_for_publish(5)
        client.disconnect()
        break
client.loop_stop()
