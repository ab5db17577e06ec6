// Play: a client session (attach: client) tells the server that it has a stanza when that is accepted, and not before: what a process had read
// and not accepted when it ended comes again to the next, which resumes the session (XEP-0198).

import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { memoryIn } from '../../src/gateway-xmpp.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { silentLog } from '../../src/log.ts';
import { ClientLink } from '../../src/xmpp/client-link.ts';
import { legacyClient } from '../harness/legacy-client.ts';
import { servers } from '../harness/servers.ts';
import { localLedger } from '../ledger/bench.ts';

const password = 'not-a-real-password';
const request = {
  user: 'bob',
  resource: 'mqtt',
  carbons: true,
  presence: '<presence><priority>0</priority></presence>',
};
const bodies = ['one', 'two', 'three', 'four', 'five'];

test.each(servers)('$name: after accepting one and three of five, two and all behind it come again', async (server) => {
  const legacy = await server.start({
    ...{
      accounts: { alice: password, bob: password },
      components: [{ domain: 'gw.example.com', secret: 's' }],
      attach: false,
      archive: true,
    },
  });
  const ledger = localLedger(new DatabaseSync(':memory:'));
  const links: ClientLink[] = [];
  try {
    const first = await linkTo(legacy.c2sPort, ledger, (body) => body === 'one' || body === 'three');
    links.push(first.link);
    expect(await first.link.attach([request])).toMatchObject([{ kind: 'attached', resumed: false }]);
    const alice = await legacyClient({ port: legacy.c2sPort, user: 'alice', password });
    for (const body of bodies)
      await alice.send(`<message to='bob@example.com' type='chat' id='${body}'><body>${body}</body></message>`);
    await expect.poll(() => first.heard).toEqual(bodies);
    // The server has asked for its count by then, and has been told.
    expect(await first.link.send('bob@example.com/mqtt', '<presence><status>here</status></presence>', 'k')).toEqual({
      kind: 'processed',
    });
    await first.link.stop();
    const second = await linkTo(legacy.c2sPort, ledger, () => true);
    links.push(second.link);
    expect(await second.link.attach([request])).toMatchObject([{ kind: 'attached', resumed: true }]);
    await expect.poll(() => second.heard).toEqual(bodies.slice(1));
    await alice.stop();
  } finally {
    await Promise.all(links.map((link) => link.stop()));
    await ledger.close();
    await legacy.stop();
  }
});

/** What comes is accepted if it `accepts`. */
async function linkTo(port: number, ledger: Ledger, accepts: (body: string) => boolean) {
  const heard: string[] = [];
  const link = new ClientLink({
    target: { host: '127.0.0.1', port, domain: 'example.com', security: 'none' },
    ...{ resource: 'mqtt', perSecond: 100, archiveEveryMs: 300_000, limits: {}, memory: memoryIn(ledger) },
    ...{ clock: systemClock, log: silentLog },
    credentialOf: async () => ({ kind: 'found', credential: { password } }),
  });
  link.onStanza = (stanza, _arrival, accepted) => {
    const body = stanza.getChildText('body');
    if (body !== null) heard.push(body);
    if (body === null || accepts(body)) accepted();
  };
  link.onMissed = (_user, accepted) => accepted();
  await new Promise<void>((resolve) => {
    link.onUp = () => resolve();
    link.start();
  });
  return { link, heard };
}
