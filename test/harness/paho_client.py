"""An app's MQTT side on Paho, driven by JSON lines: commands on standard input, events on standard output.

Usage: paho_client.py CLIENT_ID USERNAME PASSWORD PORT ROOT VERSION(3|5). It keeps a persistent session, publishes its presence
retained with a will, subscribes to what is for its user, and comes back by itself when the broker does. Commands:
{"do": "publish", "topic", "payload", "qos", "retain", "expiresIn"} (payload: text; expiresIn: seconds, MQTT 5 only), {"do": "quit"} (presence offline, then DISCONNECT).
Events: {"event": "online"}, {"event": "message", "topic", "payload", "qos", "retain"}, {"event": "failed", "reason"}.
"""

import json
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

client_id, username, password, port, root, version = sys.argv[1:7]
out = threading.Lock()
base = f"{root}/{username}"
presence = f"{base}/presence/{client_id}"


def tell(event, **fields):
    with out:
        print(json.dumps({"event": event, **fields}), flush=True)


def on_connect(client, _userdata, _flags, code, _properties=None):
    if code != 0:
        tell("failed", reason=str(code))
        return
    client.subscribe(f"{base}/in/#", qos=1)


def on_subscribe(client, *_):
    client.publish(presence, json.dumps({"online": True}), qos=1, retain=True)
    tell("online")


def on_message(_client, _userdata, message):
    tell(
        "message",
        topic=message.topic,
        payload=message.payload.decode("utf-8", "replace"),
        qos=message.qos,
        retain=bool(message.retain),
    )


if version == "5":
    client = mqtt.Client(client_id, protocol=mqtt.MQTTv5)
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 86400
    start = {"clean_start": False, "properties": properties}
else:
    client = mqtt.Client(client_id, clean_session=False, protocol=mqtt.MQTTv311)
    start = {}
client.username_pw_set(username, password)
client.will_set(presence, json.dumps({"online": False}), qos=1, retain=True)
client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
client.reconnect_delay_set(1, 1)
client.max_queued_messages_set(0)
client.max_inflight_messages_set(200)
client.connect("127.0.0.1", int(port), keepalive=30, **start)
client.loop_start()
for line in sys.stdin:
    command = json.loads(line)
    if command["do"] == "publish":
        how = {"qos": command.get("qos", 1), "retain": command.get("retain", False)}
        if "expiresIn" in command:
            how["properties"] = Properties(PacketTypes.PUBLISH)
            how["properties"].MessageExpiryInterval = command["expiresIn"]
        client.publish(command["topic"], command["payload"], **how)
    elif command["do"] == "quit":
        client.publish(presence, json.dumps({"online": False}), qos=1, retain=True).wait_for_publish(5)
        client.disconnect()
        break
client.loop_stop()
