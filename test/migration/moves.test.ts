// Every way between two phases: what is asked of the legacy server, in which order, and what becomes of the entries.

import { expect, test } from 'vitest';
import type { Phase } from '../../src/migration/phase.ts';
import { bob, type Stage, setStage } from './stage.ts';

async function deviceHere({ devices, clock }: Stage): Promise<void> {
  await devices.heard(bob, 'phone', { online: true });
  await clock.turn(10);
}

/** Its presence went, and the time in which it may come back is over. */
async function deviceAway({ devices, clock }: Stage): Promise<void> {
  await devices.heard(bob, 'phone', { online: false });
  await clock.turn(6_000);
}

type Way = [from: Phase, to: Phase, app: 'here' | 'away', acts: string[]];

const ways: Way[] = [
  ['legacy', 'shadow', 'here', ['observe']],
  ['legacy', 'shadow', 'away', ['observe']],
  ['legacy', 'dual', 'here', ['attach available']],
  ['legacy', 'dual', 'away', ['observe']],
  ['legacy', 'mqtt', 'here', ['attach available', 'lock']],
  ['legacy', 'mqtt', 'away', ['attach xa', 'lock']],
  ['shadow', 'legacy', 'here', ['unobserve']],
  ['shadow', 'legacy', 'away', ['unobserve']],
  ['shadow', 'dual', 'here', ['attach available', 'unobserve']],
  ['shadow', 'dual', 'away', []],
  ['shadow', 'mqtt', 'here', ['attach available', 'unobserve', 'lock']],
  ['shadow', 'mqtt', 'away', ['attach xa', 'unobserve', 'lock']],
  ['dual', 'legacy', 'here', ['return m1', 'detach']],
  ['dual', 'legacy', 'away', ['return m1', 'unobserve']],
  ['dual', 'shadow', 'here', ['return m1', 'observe', 'detach']],
  ['dual', 'shadow', 'away', ['return m1']],
  ['dual', 'mqtt', 'here', ['lock']],
  ['dual', 'mqtt', 'away', ['attach xa', 'unobserve', 'lock']],
  ['mqtt', 'legacy', 'here', ['unlock', 'return m1', 'detach']],
  ['mqtt', 'legacy', 'away', ['unlock', 'return m1', 'detach']],
  ['mqtt', 'shadow', 'here', ['unlock', 'return m1', 'observe', 'detach']],
  ['mqtt', 'shadow', 'away', ['unlock', 'return m1', 'observe', 'detach']],
  ['mqtt', 'dual', 'here', ['unlock']],
  ['mqtt', 'dual', 'away', ['unlock', 'observe', 'detach']],
];

test.each(ways)('%s → %s, app %s, asks %j', async (from, to, app, acts) => {
  const stage = await setStage({ legacyLogin: 'deny' });
  await deviceHere(stage);
  if (app === 'away') await deviceAway(stage);
  await stage.move(from);
  await stage.arrives('m1');
  stage.acts.length = 0;
  await stage.move(to);
  expect(stage.acts).toEqual(acts);
  expect(stage.user()).toMatchObject({ phase: to, moving: undefined });
  const isBack = acts.includes('return m1');
  expect(await stage.states()).toEqual([isBack ? 'm1 returned sole' : 'm1 accepted sole']);
});

test('in dual an app that goes hands back what it has not acknowledged, which stays for it as a copy', async () => {
  const stage = await setStage();
  await deviceHere(stage);
  await stage.move('dual');
  await stage.arrives('m1');
  const known = await stage.arrives('m2');
  await stage.ledger.do('appAcked', { user: bob, keys: [known], at: 1 });
  stage.acts.length = 0;
  await deviceAway(stage);
  expect(stage.acts).toEqual(['observe', 'return m1', 'detach']);
  expect(await stage.states()).toEqual(['m1 accepted copy', 'm2 accepted sole']);
  stage.acts.length = 0;
  await deviceHere(stage);
  expect(stage.acts).toEqual(['attach available', 'unobserve']);
});

test.each([
  ['hides it', ['return'], ['return m1', 'show available']],
  ['does not', [], ['return m1']],
] as const)(
  'an app that is back while its session hands back keeps it, and where that %s, it is shown anew',
  async (_, lacks, acts) => {
    const stage = await setStage({ lacks: new Set(lacks) });
    await deviceHere(stage);
    await stage.move('dual');
    await stage.arrives('m1');
    stage.alwaysFails.set('return', { kind: 'wait', condition: 'resource-constraint', text: 'the queue is full' });
    await deviceAway(stage);
    expect(stage.reconcile.workOn(stage.user())).toMatchObject({
      setback: { condition: 'resource-constraint', text: expect.stringMatching(/"the queue is full".*waits here/) },
    });
    stage.acts.length = 0;
    await stage.clock.turn(3_000);
    expect(stage.acts).toContain('return m1');
    stage.acts.length = 0;
    await deviceHere(stage);
    expect([...new Set(['return m1', ...stage.acts])].filter((act) => !act.endsWith('observe'))).toEqual(acts);
    expect(await stage.states()).toEqual(['m1 accepted sole']);
  },
);

test('in dual without an app what waits for the server brings a silent session, and its end takes it away', async () => {
  const stage = await setStage();
  await deviceHere(stage);
  await deviceAway(stage);
  await stage.move('dual');
  stage.acts.length = 0;
  stage.toSend.add(bob);
  stage.reconcile.poke(stage.user());
  await stage.clock.turn(10);
  expect(stage.acts).toEqual(['attach silent']);
  stage.toSend.delete(bob);
  stage.reconcile.poke(stage.user());
  await stage.clock.turn(10);
  expect(stage.acts).toEqual(['attach silent', 'detach']);
});

test('a detach without an answer is asked again before anything else, and nothing is handed back twice', async () => {
  const stage = await setStage();
  await deviceHere(stage);
  await stage.move('dual');
  await stage.arrives('m1', { position: { link: 'link', epoch: 'E1', n: 1 } });
  stage.acts.length = 0;
  stage.fails.set('detach', { kind: 'wait', condition: 'resource-constraint', text: 'busy' });
  await deviceAway(stage);
  await stage.move('legacy');
  await stage.clock.turn(40_000);
  expect(stage.acts.filter((act) => act.startsWith('return'))).toEqual(['return m1']);
  expect(stage.acts.filter((act) => act === 'detach').length).toBeGreaterThanOrEqual(2);
  expect(await stage.states()).toEqual(['m1 discarded copy']);
});

test('while it is not known whether copies have ended, the row does not count on them', async () => {
  const stage = await setStage();
  await deviceHere(stage);
  await deviceAway(stage);
  await stage.move('dual');
  expect(stage.user().observed).toEqual({ epoch: 'E1' });
  stage.fails.set('unobserve', { kind: 'lost' });
  await deviceHere(stage);
  const [row] = await stage.ledger.do('users', { after: '', limit: 1 });
  expect(JSON.parse(row?.observed ?? '')).toEqual({ epoch: 'E1', asked: true });
});

test('late copies are for comparing only: asked for in shadow, never in dual, and again when they have ended', async () => {
  const stage = await setStage({ lacks: new Set(['liveCopies', 'lock']) });
  await deviceHere(stage);
  await deviceAway(stage);
  await stage.move('shadow');
  expect(stage.acts).toEqual(['observe']);
  stage.users.copiesGone(stage.user());
  stage.reconcile.poke(stage.user());
  await stage.clock.turn(100);
  expect(stage.acts).toEqual(['observe', 'observe']);
  expect(stage.user().observed).toEqual({ epoch: 'E1' });
  await stage.move('dual');
  expect(stage.acts).toEqual(['observe', 'observe', 'unobserve']);
  expect(stage.user()).toMatchObject({ phase: 'dual', observed: undefined });
});

test('a move to a phase that is superseded twice while it drains goes on draining', async () => {
  const stage = await setStage();
  await deviceHere(stage);
  await stage.move('mqtt');
  const { outcome } = stage.ledger.accept(() => ({
    ...{ lane: 'toXmpp', user: bob, peer: 'alice@example.com', channel: 'message', id: 'o1', custody: 'copy' },
    ...{ at: 1, payload: '<message/>' },
  }));
  await outcome;
  // The drain looks at the ledger while the first of two more moves is on disk and the second is being written.
  let look: (waiting: number) => void = () => {};
  const { ledger } = stage;
  const asked = ledger.do.bind(ledger);
  const hold = new Promise<number>((resolve) => {
    look = resolve;
  });
  ledger.do = ((...call: Parameters<typeof asked>) =>
    call[0] === 'toXmppWaiting' ? hold : asked(...call)) as typeof ledger.do;
  await stage.move('legacy');
  void stage.move('mqtt');
  void stage.move('legacy');
  while (stage.user().phase !== 'mqtt') await Promise.resolve();
  ledger.do = asked;
  look(1);
  await stage.clock.turn(500);
  expect(stage.user()).toMatchObject({ phase: 'legacy', moving: { step: 'drain' } });
});

test('an account that does not exist ends the move as failed, and what was promised meanwhile ends with it', async () => {
  const stage = await setStage();
  const gone = { kind: 'refused', condition: 'item-not-found', text: 'there is no such account' } as const;
  await deviceHere(stage);
  stage.fails.set('attach', gone);
  await stage.move('dual');
  await stage.clock.turn(100);
  expect(stage.user()).toMatchObject({ phase: 'legacy', moving: undefined, attached: undefined });
  const [last] = await stage.ledger.do('audit', { user: bob, limit: 1 });
  expect(last).toMatchObject({ what: 'move.failed', reason: 'there is no such account' });
});

test('an account that is deleted while it is moved ends what nobody can have any more, counted', async () => {
  const stage = await setStage();
  const gone = { kind: 'refused', condition: 'item-not-found', text: 'there is no such account' } as const;
  await deviceHere(stage);
  await stage.move('mqtt');
  await stage.arrives('m1');
  for (const kind of ['return', 'detach']) stage.fails.set(kind, gone);
  await stage.move('legacy');
  expect(stage.user()).toMatchObject({ phase: 'legacy', moving: undefined });
  expect(await stage.states()).toEqual(['m1 discarded sole']);
});

test('a new epoch makes again what was there, and forgets what is not wanted any more without a word', async () => {
  const stage = await setStage({ legacyLogin: 'deny' });
  await deviceHere(stage);
  await stage.move('mqtt');
  stage.acts.length = 0;
  stage.server.epoch = 'E2';
  stage.reconcile.epochChanged();
  await stage.clock.turn(10);
  expect(stage.acts).toEqual(['attach available', 'lock']);
  stage.acts.length = 0;
  stage.server.epoch = 'E3';
  await stage.move('dual');
  expect(stage.acts).toEqual(['attach available']);
  expect(stage.user().locked).toBeUndefined();
});
