// Play: the gateway, and then the broker, are killed in the middle of a lively conversation; afterwards everybody has everything. Through the
// server modules, and through client sessions.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { App } from '../harness/app.ts';
import { prosody, servers } from '../harness/servers.ts';
import { type Stage, setStage } from '../harness/stage.ts';

/** Each way; docs/faults.md has a run with more. */
const count = Number(process.env.CROSSFADE_KILL_MESSAGES ?? 2_500);
const contacts = ['alice', 'carol', 'dave', 'erin', 'frank'];
const users = ['bob', 'grace'];

/** As much of a contact as these plays need, whatever library it stands on. */
interface Talker {
  name: string;
  jid: string;
  say(to: string, body: string, id: string): void;
  /** Bodies from this bare JID, in order. */
  bodies(from: string): string[];
}

const stages = [
  ...servers.map((kind) => ({ name: kind.name, kind, attach: 'module' as const })),
  { name: 'a server without our module', kind: prosody, attach: 'client' as const },
];

describe.each(stages)('$name:', ({ kind, attach }) => {
  let stage: Stage;
  let talkers: Talker[];
  let apps: App[];

  beforeAll(async () => {
    // An app may say so much at once that the run with 5,000 is not refused.
    const config = { mqtt: { messagesBurst: 100_000 } };
    stage = await setStage({ kind, attach, accounts: [...contacts, ...users], config });
    // Paho with MQTT 5, and mqtt.js with 3.1.1; slixmpp, and one on @xmpp/client.
    apps = await Promise.all([
      stage.app('bob', 'phone', { repeatMs: 3_000 }),
      stage.app('grace', 'phone', { library: 'mqtt.js', version: 3, repeatMs: 3_000 }),
    ]);
    talkers = await Promise.all(contacts.map((name) => (name === 'frank' ? onXmppJs(name) : onSlixmpp(name))));
    for (const user of users) await stage.gateway.move(`${user}@example.com`, 'mqtt');
  });
  afterAll(() => stage?.strike());

  test(`kill -9 of the gateway amid ${count} messages each way: none lost, none out of order, none twice`, {
    timeout: Math.max(90_000, 120 * count),
  }, async () => {
    const each = count / (contacts.length * users.length);
    const conversation = Conversation('a', each);
    const killed = (async () => {
      // A client session has one message unanswered in each conversation, on a server that is busy with all the others.
      const some = attach === 'module' ? 300 : 30;
      await reached(() => conversation.atApps() > 300 && conversation.atContacts() > some);
      await stage.gateway.kill9();
      expect(Math.max(conversation.atApps(), conversation.atContacts())).toBeLessThan(count);
      await stage.gateway.start();
      await reached(() => conversation.atApps() > count / 2 && conversation.atContacts() > count / 2);
      await stage.gateway.kill9();
      await stage.gateway.start();
    })();
    await Promise.all([conversation.speak(killed), killed]);
    await reached(() => conversation.atApps() >= count && conversation.atContacts() >= count).catch(
      (error: unknown) => {
        throw new Error(`${conversation.atApps()} at apps, ${conversation.atContacts()} at contacts`, { cause: error });
      },
    );
    await conversation.ends({ ordered: true });
    if (process.env.CROSSFADE_KILL_MESSAGES)
      process.stderr.write(`${count} each way, killed twice: 0 lost, 0 repeated, all in order\n`);
  });

  // The way to the broker is the same for both kinds of session.
  if (attach === 'module')
    test('kill -9 of the broker amid 500 messages each way: none lost to apps that keep to the rules', {
      timeout: 60_000,
    }, async () => {
      const conversation = Conversation('b', 500 / (contacts.length * users.length));
      const killed = (async () => {
        // One direction may be far ahead of the other.
        await reached(() => Math.max(conversation.atApps(), conversation.atContacts()) > 100);
        await stage.mosquitto.kill9();
        expect(Math.max(conversation.atApps(), conversation.atContacts())).toBeLessThan(500);
        await stage.mosquitto.restart();
      })();
      await Promise.all([conversation.speak(killed), killed]);
      await reached(() => conversation.atApps() >= 500 && conversation.atContacts() >= 500);
      // What the broker lost after its PUBACK the apps say again, later than what came after it.
      await conversation.ends({ ordered: false });
    });

  /** Each contact says `each` things to each user, and each app to each contact. */
  function Conversation(label: string, each: number) {
    const numbers = Array.from({ length: each }, (_, n) => n);
    const body = (from: string, to: string, n: number) => `${label} ${from} to ${to} ${n}`;
    const isOurs = (text: string) => text.startsWith(`${label} `);
    const pairs = talkers.flatMap((talker) => users.map((user, index) => ({ talker, user, app: apps[index]! })));
    return {
      /** Slowly enough, and the last of it after the kill, so that what is killed is killed in the middle. */
      async speak(killed: Promise<void>) {
        for (const n of numbers) {
          if (n === each - 2) await killed;
          for (const { talker, user, app } of pairs) {
            talker.say(`${user}@example.com`, body(talker.name, user, n), `${label}-${talker.name}-${user}-${n}`);
            app.say(talker.jid, body(user, talker.name, n), `${label}-${user}-${talker.name}-${n}`);
          }
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      },
      atApps: () => apps.reduce((sum, app) => sum + app.bodies().filter(isOurs).length, 0),
      atContacts: () =>
        pairs.reduce((sum, { talker, user }) => sum + talker.bodies(`${user}@example.com`).filter(isOurs).length, 0),
      /** Everybody has everything once. `ordered`: the contacts have it in the order in which it was said, as apps always have. */
      async ends({ ordered }: { ordered: boolean }) {
        const sent = (app: App) =>
          app.all().filter(({ direction, body }) => direction === 'sent' && isOurs(String(body)));
        const whole = each * talkers.length;
        await reached(() => apps.every((app) => app.unacknowledged === 0 && sent(app).length >= whole));
        const told = (bodies: string[]) => (ordered ? bodies : bodies.toSorted());
        for (const { talker, user, app } of pairs) {
          // One message under two keys would stand here twice.
          const atApp = numbers.map((n) => body(talker.name, user, n));
          expect(app.bodies(talker.jid).filter(isOurs)).toEqual(atApp);
          const atContact = numbers.map((n) => body(user, talker.name, n));
          expect(told(talker.bodies(`${user}@example.com`).filter(isOurs))).toEqual(told(atContact));
          const copies = sent(app).flatMap(({ to, body }) => (to === talker.jid ? [String(body)] : []));
          expect(told(copies)).toEqual(told(atContact));
        }
      },
    };
  }

  async function reached(isSo: () => boolean): Promise<void> {
    await expect.poll(isSo, { timeout: Math.max(60_000, 40 * count), interval: count / 100 }).toBe(true);
  }

  async function onSlixmpp(name: string): Promise<Talker> {
    const contact = await stage.contact(name);
    return {
      ...{ name, jid: contact.jid },
      say: (to, body, id) => contact.say(to, body, id),
      bodies: (from) => contact.bodies(from),
    };
  }

  async function onXmppJs(name: string): Promise<Talker> {
    const client = await stage.legacyClient(name);
    return {
      ...{ name, jid: `${name}@example.com` },
      say: (to, body, id) =>
        void client.send(`<message to='${to}' type='chat' id='${id}'><body>${body}</body></message>`),
      bodies: (from) =>
        client.inbox.all.flatMap((stanza) =>
          stanza.name === 'message' && stanza.attrs.from?.split('/')[0] === from
            ? [stanza.getChildText('body') ?? '']
            : [],
        ),
    };
  }
});
