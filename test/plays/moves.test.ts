// Play: users are moved between all phases while both sides talk: nothing is lost, and nobody sees anything twice.

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { App } from '../harness/app.ts';
import type { Contact } from '../harness/contact.ts';
import { servers } from '../harness/servers.ts';
import { type Stage, setStage } from '../harness/stage.ts';

const phases = ['legacy', 'shadow', 'dual', 'mqtt'] as const;
type Phase = (typeof phases)[number];
const isOpen = (phase: Phase) => phase === 'dual' || phase === 'mqtt';

/** `desk`: whether a legacy client of the user is there, or comes only at the end. */
interface Row {
  from: Phase;
  to: Phase;
  desk: 'there' | 'later';
  user: string;
}

const rows: Row[] = phases
  .flatMap((from) => phases.filter((to) => to !== from).map((to) => ({ from, to })))
  .flatMap((pair) => (['there', 'later'] as const).map((desk) => ({ ...pair, desk })))
  .map((row, at) => ({ ...row, user: `u${at}` }));
const wanderers = ['w1', 'w2', 'w3', 'w4'];
const messages = 45;

describe.each(servers)('$name:', (server) => {
  /** For time's sake not so many on the other servers. */
  const manyMoves = server === servers[0] ? 2_000 : 400;
  let stage: Stage;
  let alice: Contact;

  beforeAll(async () => {
    const accounts = ['alice', ...rows.map(({ user }) => user), ...wanderers];
    stage = await setStage({ kind: server, accounts, legacy: { archive: true } });
    alice = await stage.contact('alice');
    await stage.gateway.logged({ event: 'broker.restarted' });
  });
  afterAll(() => stage?.strike());

  test.concurrent.each(rows)('$from → $to under traffic, legacy client $desk', async ({ from, to, desk, user }) => {
    const jid = `${user}@example.com`;
    const client = desk === 'there' ? await stage.contact(`${user}/desk`, { carbons: true }) : null;
    const phone = await stage.app(user, 'phone');
    await stage.gateway.move(jid, from);
    const moved = talk(user, phone, messages, async (n) => {
      if (n === messages / 3) await stage.gateway.put(jid, to);
    });
    const { received, sent } = await moved;
    await stage.gateway.moved(jid);
    alice.say(jid, `end ${user}`);
    if (isOpen(to)) await phone.hears('message', { body: `end ${user}` });
    // A live message would come among the flushed ones: ejabberd does so to its clients.
    if (!client) await alice.iq('example.com', 'get', `<ping xmlns='urn:xmpp:ping'/>`);
    const legacy = client ?? (await stage.contact(`${user}/desk`, { carbons: true }));
    if (desk === 'there' || !isOpen(to)) await seen(legacy, `end ${user}`);
    await expectAll({ jid, phone, legacy, received, sent, hasDesk: desk === 'there' });
  });

  test(`four users go back and forth ${manyMoves} times while everybody talks`, { timeout: 180_000 }, async () => {
    let seed = 20_261;
    const random = () => {
      seed = (seed * 16_807) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    const cast = await Promise.all(
      wanderers.map(async (user) => ({
        ...{ user, jid: `${user}@example.com`, phone: await stage.app(user, 'phone') },
        legacy: await stage.contact(`${user}/desk`, { carbons: true }),
      })),
    );
    const movesEach = manyMoves / cast.length;
    const results = await Promise.all(
      cast.map(async ({ user, jid, phone }) => {
        let moves = 0;
        const result = await talk(user, phone, movesEach, async () => {
          const phase = phases[Math.floor(random() * phases.length)]!;
          expect((await stage.gateway.put(jid, phase)).status).toBeLessThan(300);
          moves++;
        });
        expect(moves).toBe(movesEach);
        return result;
      }),
    );
    for (const [at, { user, jid, phone, legacy }] of cast.entries()) {
      await stage.gateway.move(jid, 'mqtt');
      alice.say(jid, `end ${user}`);
      // The server is behind with what was said, ejabberd by up to 20 s: its archive in Mnesia takes longer with each message.
      await Promise.all([
        phone.hears('message', { body: `end ${user}` }, { timeoutMs: 90_000 }),
        seen(legacy, `end ${user}`, 90_000),
      ]);
      await expectAll({ jid, phone, legacy, ...results[at]!, hasDesk: true });
    }
  });

  /** Alice and the app each say so many things, and something else happens beside each. */
  async function talk(user: string, phone: App, count: number, beside: (n: number) => Promise<void>) {
    const received: string[] = [];
    const sent: string[] = [];
    for (let n = 0; n < count; n++) {
      received.push(`to ${user} ${n}`);
      alice.say(`${user}@example.com`, `to ${user} ${n}`);
      sent.push(`of ${user} ${n}`);
      phone.say('alice@example.com', `of ${user} ${n}`, `${user}-${n}`);
      await Promise.all([beside(n), sleep(15)]);
    }
    return { received, sent };
  }

  async function seen(legacy: Contact, body: string, timeoutMs?: number): Promise<void> {
    const holds = () => viewsOf(legacy).includes(body) || undefined;
    await legacy.messages.until(holds, `"${body}" at ${legacy.jid}`, timeoutMs);
  }

  /** Bodies received directly or as a carbon. */
  function viewsOf(legacy: Contact): string[] {
    return legacy.messages.items.flatMap(({ body, xml }) => {
      if (body !== '') return [body];
      const inner = xml.getChild('received', 'urn:xmpp:carbons:2')?.getChild('forwarded', 'urn:xmpp:forward:0');
      return inner?.getChild('message')?.getChildText('body') ?? [];
    });
  }

  interface Outcome {
    jid: string;
    phone: App;
    legacy: Contact;
    received: string[];
    sent: string[];
    /** The legacy client was there all the time: it has seen everything. */
    hasDesk: boolean;
  }

  async function expectAll({ jid, phone, legacy, received, sent, hasDesk }: Outcome): Promise<void> {
    const atDesk = viewsOf(legacy).filter((body) => received.includes(body));
    const atApp = phone.bodies('alice@example.com').filter((body) => received.includes(body));
    expect(atDesk).toEqual([...new Set(atDesk)]);
    expect(atApp).toEqual([...new Set(atApp)]);
    const seenBy = hasDesk ? new Set(atDesk) : new Set([...atDesk, ...atApp]);
    expect(received.filter((body) => !seenBy.has(body))).toEqual([]);
    expect(atDesk).toEqual(received.filter((body) => atDesk.includes(body)));

    // What the app sent was either taken, and then reached Alice once, in order, or refused by the phase.
    await phone.heard.until(() => (phone.unacknowledged === 0 ? true : undefined), `an answer to all of ${jid}`);
    const refused = new Set(phone.all('error').map(({ id }) => String(id)));
    const taken = sent.filter((_, n) => !refused.has(`${jid.split('@')[0]}-${n}`));
    if (taken.length > 0) await alice.hears(taken.at(-1)!);
    expect(alice.bodies(jid).filter((body) => sent.includes(body))).toEqual(taken);
  }
});
