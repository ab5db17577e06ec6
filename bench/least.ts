// The bridge with the least that the contract asks: a row on disk before anything is said, and what an app is told besides.
// No addresses looked at, no repeats known, no order, no moves, no limits: what a gateway does beyond this, it can do cheaper; this it cannot leave out.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { component, type Entity } from '@xmpp/component';
import { Element } from 'ltx';
import mqtt from 'mqtt';

type Component = Entity & { start(): Promise<unknown>; send(stanza: Element): Promise<void> };
/** Numbers, users, stanzas and payloads to be written down; then the numbers of those that have been answered. */
type Batch = { rows: (number | string)[]; answered: number[] };

if (isMainThread) await bridge();
else store(workerData);

function store(path: string): void {
  const file = new DatabaseSync(path);
  file.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
  file.exec('CREATE TABLE entries (n INTEGER PRIMARY KEY, user TEXT, original TEXT, payload TEXT, answered INTEGER)');
  const insert = file.prepare('INSERT INTO entries VALUES (?, ?, ?, ?, 0)');
  const update = file.prepare('UPDATE entries SET answered = 1 WHERE n = ?');
  parentPort!.on('message', ({ rows, answered }: Batch) => {
    file.exec('BEGIN');
    for (let at = 0; at < rows.length; at += 4) insert.run(rows[at]!, rows[at + 1]!, rows[at + 2]!, rows[at + 3]!);
    for (const n of answered) update.run(n);
    file.exec('COMMIT');
    parentPort!.postMessage(rows.length / 4);
  });
}

async function bridge(): Promise<void> {
  const { XMPP_PORT, MQTT_PORT, MQTT_USER: username, MQTT_PASSWORD: password } = process.env;
  const domain = 'least.example.com';
  const folder = mkdtempSync(join(tmpdir(), 'crossfade-least-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const ledger = new Worker(new URL(import.meta.url), { workerData: join(folder, 'least.sqlite') });
  const xmpp = component({ service: `xmpp://127.0.0.1:${XMPP_PORT}`, domain, password: 'a-fake-secret' }) as Component;
  const broker = await mqtt.connectAsync(`mqtt://127.0.0.1:${MQTT_PORT}`, { username, password });

  let n = 0;
  let batch: Batch = { rows: [], answered: [] };
  let isBusy = false;
  const written: (() => void)[] = [];
  const commit = () => {
    if (isBusy || batch.rows.length === 0) return;
    isBusy = true;
    ledger.postMessage(batch);
    batch = { rows: [], answered: [] };
  };
  ledger.on('message', (count: number) => {
    isBusy = false;
    const done = written.splice(0, count);
    commit();
    for (const go of done) go();
  });
  const record = (user: string, original: string, payload: string, go: (answered: () => void) => void) => {
    n += 1;
    const number = n;
    batch.rows.push(number, user, original, payload);
    written.push(() => go(() => batch.answered.push(number)));
    if (batch.rows.length === 4) setImmediate(commit);
  };

  xmpp.on('stanza', (stanza: Element) => {
    if (!stanza.is('message')) return;
    const { from, to = '', id, type } = stanza.attrs;
    const [user = ''] = to.split('@');
    const payload = JSON.stringify({ id, from, to, type, body: stanza.getChildText('body') });
    record(user, stanza.toString(), payload, (answered) => {
      broker.publish(`chat/${user}/in/message`, payload, { qos: 1 }, answered);
    });
  });

  broker.on('message', (topic, payload) => {
    const { id, to, type, body } = JSON.parse(payload.toString());
    const user = topic.split('/')[1]!;
    const message = new Element('message', { from: `${user}@${domain}`, to, id, type });
    message.c('body').t(body);
    const copy = JSON.stringify({ id, to, type, body, direction: 'sent' });
    record(user, message.toString(), copy, (answered) => {
      void xmpp.send(message);
      broker.publish(`chat/${user}/in/ack`, JSON.stringify({ ids: [id] }), { qos: 1 });
      broker.publish(`chat/${user}/in/message`, copy, { qos: 1 }, answered);
    });
  });

  await broker.subscribeAsync('chat/+/least/message', { qos: 1 });
  await xmpp.start();
}
