// Play: phase shadow on a server without our module (attach: client). The user's archive is visited by a client that nobody sees.

import { describe, expect, test } from 'vitest';
import type { LegacyServerOptions } from '../harness/legacy-server.ts';
import { startProsody } from '../harness/prosody.ts';
import { prosody, servers } from '../harness/servers.ts';
import { setStage } from '../harness/stage.ts';

const bob = 'bob@example.com';
const env = { CROSSFADE_XMPP_CLIENT_ARCHIVE_EVERY: '500ms' };
const presenceOf = (to: string, type: string) => `<presence to='${to}' type='${type}'/>`;

describe.each(servers)('$name', (kind) => {
  test('what the user and a contact write is compared; nothing is taken from the user, and no contact is told', async () => {
    const stage = await setStage({ kind, accounts: ['alice', 'bob'], attach: 'client', env });
    try {
      const [chat, shadow] = [await stage.watch('chat/#'), await stage.watch('chat-shadow/#')];
      const alice = await stage.contact('alice');
      const desk = await stage.contact('bob');
      for (const type of ['subscribe', 'subscribed']) {
        alice.send(presenceOf(bob, type));
        desk.send(presenceOf('alice@example.com', type));
      }
      await alice.presences.until((all) => all.find(({ from }) => from === `${bob}/desk`), 'bob at his desk');
      alice.say(bob, 'before the move');
      await desk.hears('before the move');
      await desk.leave();
      await alice.presences.until(
        (all) => all.find(({ from, type }) => type === 'unavailable' && from === `${bob}/desk`),
        'bob gone',
      );
      const seenBefore = alice.presences.items.length;

      await stage.gateway.move(bob, 'shadow');
      const of = (topic: string, body: string) =>
        shadow.until(
          (all) => all.find((one) => one.topic === topic && one.payload.includes(body)),
          `${body} on ${topic}`,
        );
      alice.say(bob, 'SECRET one', 's1');
      await of('chat-shadow/bob/in/message', 'SECRET one');
      await stage.server.restart();
      const again = await stage.contact('alice/again');
      again.say(bob, 'SECRET two', 's2');
      await of('chat-shadow/bob/in/message', 'SECRET two');
      // The visits have read it, and bob has it nevertheless.
      const back = await stage.contact('bob/late');
      await back.hears('SECRET two');
      expect(back.bodies()).toEqual(['SECRET one', 'SECRET two']);
      back.send("<message to='alice@example.com' type='chat' id='s3'><body>SECRET three</body></message>");
      await of('chat-shadow/bob/out/message', 'SECRET three');
      again.say(bob, 'SECRET four', 's4');
      await back.hears('SECRET four');
      await of('chat-shadow/bob/in/message', 'SECRET four');

      const copies = shadow.items.map(({ payload }) => (JSON.parse(payload) as { body: string }).body);
      expect(copies).toEqual(['SECRET one', 'SECRET two', 'SECRET three', 'SECRET four']);
      const { body: report } = await stage.gateway.api('GET', '/api/v1/shadow');
      expect(report).toMatchObject({
        stanzas: { in: 3, out: 1 },
        equal: 4,
        failed: 0,
        users: [{ user: bob, stanzas: 4 }],
      });
      expect(await stage.gateway.entries(bob)).toEqual([]);
      expect(chat.items).toEqual([]);
      // Nobody has seen the visits come. ejabberd 23.01 tells the user's own clients of their end, who never knew that they were there.
      const told = [...alice.presences.items.slice(seenBefore), ...again.presences.items].map(({ from }) => from);
      const toldHim = back.presences.items.filter(({ type }) => type !== 'unavailable').map(({ from }) => from);
      const ofBob = [...told, ...toldHim].filter((from) => from.startsWith(`${bob}/`));
      expect(new Set(ofBob)).toEqual(new Set([`${bob}/late`]));

      await stage.gateway.move(bob, 'mqtt');
      const app = await stage.app('bob', 'phone');
      again.say(bob, 'and on to the app', 's5');
      await app.hears('message', { body: 'and on to the app' });
      expect(app.bodies('alice@example.com')).toEqual(['and on to the app']);
    } finally {
      await stage.strike();
    }
  }, 60_000);
});

/** Without an archive, and without what makes a session resumable. */
const poor = {
  ...prosody,
  start: (options: LegacyServerOptions) => startProsody({ ...options, options: '  modules_disabled = { "smacks" }' }),
};

test('what a server or the credentials do not give ends the move with the reason', async () => {
  const stage = await setStage({
    ...{ kind: poor, accounts: ['alice', 'bob'], attach: 'client', env },
    legacy: { archive: false },
  });
  try {
    for (const [name, phase, why] of [
      ['bob', 'shadow', /phase shadow needs the archive of bob@example.com \(XEP-0313\)/],
      ['bob', 'mqtt', /the server has no stream management \(XEP-0198\), without which messages could be lost/],
      ['stranger', 'shadow', /has no line for stranger@example.com/],
    ] as const) {
      const user = await stage.gateway.move(`${name}@example.com`, phase);
      expect(user).toMatchObject({ phase: 'legacy', lastMove: { outcome: 'failed' } });
      expect((user.lastMove as { why: string }).why).toMatch(why);
    }
  } finally {
    await stage.strike();
  }
});
