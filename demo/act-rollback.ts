// Act 6: the phone is lost with messages on their way, and the operator rolls Bob back.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Element } from 'ltx';
import type { LegacyClient } from '../test/harness/legacy-client.ts';
import { bob, bobAtHisLaptop, bobSeen, type Cast, ledgerCounts, operate, sum } from './cast.ts';
import { eventually, inOrder, say } from './people.ts';
import { seconds } from './screen.ts';

const betweenNotesMs = 400;

/** `notes`: how many messages come while the phone is away. Resolves to Bob's laptop, which got them. */
export async function rollBack(cast: Cast, notes: number): Promise<LegacyClient> {
  const { screen, phone } = cast;
  screen.act('The phone is lost, and Bob is rolled back');
  const lostAt = performance.now();
  await phone.vanish();
  screen.progress('the gateway gives the phone five seconds to come back …');
  await eventually(() => bobSeen(cast).show === 'xa');
  const after = seconds(performance.now() - lostAt);
  screen.line(`${after} later Alice sees Bob as "${bobSeen(cast).show}". She writes all the same:`);
  const sentAt = await writeNotes(cast, notes);
  screen.line(`${notes} messages, ${betweenNotesMs / 1000} s apart, are in the ledger, and no app acknowledges them.`);
  await operate(cast, ['user', 'set', bob, 'legacy', '--reason', 'phone lost']);
  screen.line('Bob opens his laptop, with his old XMPP client.');

  const laptop = await bobAtHisLaptop(cast);
  await laptop.message(`note ${notes}`).catch(() => {}); // a wrong count will tell
  await laptop.iq(`<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>`); // whatever else the server has for him is here now
  const messages = laptop.inbox.all.filter(({ name }) => name === 'message');
  const bodies = messages.map(bodyOf);
  screen.count({ what: 'messages he gets, in order', actual: inOrder(bodies, [...sentAt.keys()]), expected: notes });
  const others = bodies.filter((body) => !sentAt.has(body)).length;
  screen.count({
    what: 'other messages, or repeats',
    actual: others + bodies.length - new Set(bodies).size,
    expected: 0,
  });
  const off = messages.map((message) => Math.abs(stampOf(message) - (sentAt.get(bodyOf(message)) ?? 0)));
  const what = 'time stamps against time of sending (whole seconds)';
  screen.count({ what, actual: Math.max(...off, 0), atMost: 1000, unit: 'ms' });
  return laptop;
}

/** Resolves, with the time of each, when the gateway has accepted them. */
async function writeNotes(cast: Cast, notes: number): Promise<Map<string, number>> {
  const before = sum((await ledgerCounts(cast)).toMqtt);
  const sentAt = new Map<string, number>();
  for (let n = 1; n <= notes; n++) {
    sentAt.set(`note ${n}`, Date.now());
    await say(cast.alice, bob, `note ${n}`, `note-${n}`);
    await sleep(betweenNotesMs);
  }
  for (let tries = 0; tries < 20 && sum((await ledgerCounts(cast)).toMqtt) < before + notes; tries++) await sleep(100);
  return sentAt;
}

const bodyOf = (message: Element) => message.getChildText('body') ?? '';

/** XEP-0203, in ms; NaN, which is never right, without one. */
function stampOf(message: Element): number {
  return Date.parse(message.getChild('delay', 'urn:xmpp:delay')?.attrs.stamp ?? '');
}
