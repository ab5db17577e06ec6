// The measure: what anybody would write first. @xmpp/component and mqtt.js as they come, QoS 1, no ledger, no acknowledgement.

import { component, type Entity } from '@xmpp/component';
import { Element } from 'ltx';
import mqtt from 'mqtt';

type Component = Entity & { start(): Promise<unknown>; send(stanza: Element): Promise<void> };

const { XMPP_PORT, MQTT_PORT, MQTT_USER: username, MQTT_PASSWORD: password } = process.env;
const domain = 'bridge.example.com';
const xmpp = component({ service: `xmpp://127.0.0.1:${XMPP_PORT}`, domain, password: 'a-fake-secret' }) as Component;
const broker = await mqtt.connectAsync(`mqtt://127.0.0.1:${MQTT_PORT}`, { username, password });

xmpp.on('stanza', (stanza: Element) => {
  if (!stanza.is('message')) return;
  const { from, to = '', id, type } = stanza.attrs;
  const [user] = to.split('@');
  const payload = JSON.stringify({ id, from, to, type, body: stanza.getChildText('body') });
  broker.publish(`chat/${user}/in/message`, payload, { qos: 1 });
});

broker.on('message', (topic, payload) => {
  const { id, to, type, body } = JSON.parse(payload.toString());
  const message = new Element('message', { from: `${topic.split('/')[1]}@${domain}`, to, id, type });
  message.c('body').t(body);
  void xmpp.send(message);
});

await broker.subscribeAsync('chat/+/bridge/message', { qos: 1 });
await xmpp.start();
