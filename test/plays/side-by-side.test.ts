// Play: every cell of the table in DESIGN §5, each with every kind of legacy client: who sees what is said, and how often.

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { App } from '../harness/app.ts';
import type { Contact, ContactOptions } from '../harness/contact.ts';
import { type Stage, setStage } from '../harness/stage.ts';

type Phase = 'legacy' | 'shadow' | 'dual' | 'mqtt';
/** `none`: no device has ever been there; `away`: one was, and left. */
type AppState = 'none' | 'here' | 'away';

interface Row {
  phase: Phase;
  app: AppState;
  /** The legacy client. */
  client: string;
  options: Partial<ContactOptions>;
  user: string;
}

const clients: Record<string, Partial<ContactOptions>> = {
  'with carbons': { carbons: true },
  'without carbons': {},
  'with XEP-0198 and priority 5': { managed: true, priority: 5 },
  'with carbons and priority -1': { carbons: true, priority: -1 },
};
const rows: Row[] = (['legacy', 'shadow', 'dual', 'mqtt'] as const)
  .flatMap((phase) => (['none', 'here', 'away'] as const).map((app) => ({ phase, app })))
  .flatMap((cell) => Object.entries(clients).map(([client, options]) => ({ ...cell, client, options })))
  .map((row, at) => ({ ...row, user: `u${at}` }));

/** The server holds a session for the app. */
const isAttached = ({ phase, app }: Row) => phase === 'mqtt' || (phase === 'dual' && app === 'here');
/** The app is published to. In `dual` without a device it gets later, from the archive, what was said since the move. */
const isServed = ({ phase }: Row) => phase === 'mqtt' || phase === 'dual';

let stage: Stage;
let alice: Contact;

beforeAll(async () => {
  stage = await setStage({ accounts: ['alice', ...rows.map(({ user }) => user)], legacy: { archive: true } });
  alice = await stage.contact('alice');
  await stage.gateway.logged({ event: 'broker.restarted' });
});
afterAll(() => stage?.strike());

test.concurrent.each(rows)('$phase, app $app, legacy client $client: each side sees everything once', async (row) => {
  const jid = `${row.user}@example.com`;
  const desk = await stage.contact(`${row.user}/desk`, row.options);
  const phone = row.app === 'none' ? null : await stage.app(row.user, 'phone');
  await stage.gateway.move(jid, row.phase);
  if (row.app === 'away') await phone!.leave();
  await stage.gateway.userWhen(
    jid,
    ({ attached, app }) => (attached !== null) === isAttached(row) && (row.app !== 'away' || app === 'away'),
  );

  alice.say(jid, `to ${row.user}`);
  desk.say('alice@example.com', `of ${row.user}`);
  await alice.hears(`of ${row.user}`);
  await seesFromAlice(desk, row);
  const app = await seesBoth(phone, row);
  await speaks(app, desk, row);

  const { user } = row;
  expect(views(desk, `to ${user}`)).toBe(1);
  expect(alice.bodies(jid).filter((body) => body === `of ${user}`)).toHaveLength(1);
  expect(alice.bodies(jid).filter((body) => body === `app of ${user}`)).toHaveLength(isServed(row) ? 1 : 0);
  const bodies = app.all().map(({ body, direction }) => `${direction} ${body}`);
  const all = isServed(row) ? [`received to ${user}`, `sent app of ${user}`, `sent of ${user}`] : [];
  expect(bodies.sort()).toEqual(all);
});

/** Directly or as a carbon; a client of negative priority that is alone gets it from offline storage. */
async function seesFromAlice(desk: Contact, row: Row): Promise<void> {
  const body = `to ${row.user}`;
  if ((row.options.priority ?? 0) < 0 && !isAttached(row)) desk.send('<presence/>');
  await desk.messages.until(() => views(desk, body) > 0 || undefined, `"${body}" at ${desk.jid}`);
}

function views(desk: Contact, body: string): number {
  return [...desk.bodies(), ...desk.carbons()].filter((one) => one === body || one === `<${body}`).length;
}

/** What was said on the legacy side has reached the app, where the app is served; it comes now if it was not there. */
async function seesBoth(phone: App | null, row: Row): Promise<App> {
  const app = phone ?? (await stage.app(row.user, 'phone'));
  if (row.app === 'away') await app.arrive();
  if (!isServed(row)) return app;
  await app.hears('message', { body: `to ${row.user}`, direction: 'received' });
  await app.hears('message', { body: `of ${row.user}`, direction: 'sent', copy: true });
  return app;
}

/** The app's turn: accepted or refused by the phase; the legacy client sees it as a carbon if it has those. */
async function speaks(app: App, desk: Contact, row: Row): Promise<void> {
  const [id, body] = [`app-${row.user}`, `app of ${row.user}`];
  app.say('alice@example.com', body, id);
  if (!isServed(row)) {
    await app.hears('error', { id, condition: 'not-migrated' });
    return;
  }
  await Promise.all([app.isTold(id), alice.hears(body), app.hears('message', { body, direction: 'sent' })]);
  if (row.options.carbons) {
    const seen = () => desk.carbons().filter((one) => one === `>${body}`).length;
    await desk.messages.until(() => seen() === 1 || undefined, `the carbon of "${body}" at ${desk.jid}`);
  }
}
