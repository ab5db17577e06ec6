// The story: seven acts, each of which does something and counts. A wait in vain shows as a wrong count, not as an error.

import { stream } from './act-crash.ts';
import { type Said, sideBySide } from './act-dual.ts';
import { rollBack } from './act-rollback.ts';
import {
  alice,
  aliceAtHerDesk,
  bob,
  bobAtHisLaptop,
  bobSeen,
  bobsPhone,
  type Cast,
  ledgerCounts,
  operate,
  type Show,
  sum,
} from './cast.ts';
import { befriend, eventually, inOrder, numbered, say } from './people.ts';
import { seconds } from './screen.ts';
import { crossfadeVersion, type World } from './world.ts';

const questions = 10;
const waves = 300;
const gulls = 100;
const notes = 5;

/** Tells it on a world that runs; resolves to the people, who stay. */
export async function tell(show: Show): Promise<Cast> {
  const people = await chat(show);
  const cast: Cast = { ...show, ...people, phone: await bobsPhone(show) };
  const said = await sideBySide(cast);
  await moveToMqtt(cast);
  await stream(cast, { waves, gulls });
  cast.bob = await rollBack(cast, notes);
  await account(cast, said);
  return cast;
}

/** Act 1, told after the fact. */
export function introduce({ world, screen }: Show, durationMs: number): void {
  const { prosody, broker, gateway } = world;
  screen.act(`Start-up: all in one private folder, on free ports (${seconds(durationMs)})`);
  screen.fact('folder', world.dir);
  screen.fact('XMPP server', `Prosody ${world.prosodyVersion} with mod_crossfade_attach, 127.0.0.1:${prosody.c2sPort}`);
  screen.fact('MQTT broker', `${broker.about}, ${broker.url}`);
  screen.fact('gateway', `Crossfade ${crossfadeVersion} on Node ${process.versions.node}, ${gateway.adminUrl}`);
}

/** Act 2. */
async function chat(show: Show): Promise<Pick<Cast, 'alice' | 'bob'>> {
  const { screen } = show;
  screen.act('Alice and Bob chat, both with XMPP clients');
  const one = await aliceAtHerDesk(show);
  const other = await bobAtHisLaptop(show);
  await befriend(one, other);
  const lines = [
    { who: 'Alice', text: 'Morning! Did the ferry leave on time?', from: one, at: other, to: bob },
    { who: 'Bob', text: 'Five minutes late, but the sea is calm.', from: other, at: one, to: alice },
    { who: 'Alice', text: 'Then dinner at seven.', from: one, at: other, to: bob },
    { who: 'Bob', text: 'I bring the bread.', from: other, at: one, to: alice },
  ];
  for (const [n, { who, text, from, at, to }] of lines.entries()) {
    screen.says(who, text);
    await say(from, to, text, `chat-${n}`);
    await eventually(() => at.bodies().at(-1) === text);
  }
  const arrived = one.bodies().length + other.bodies().length;
  screen.count({ what: 'messages that reached the other', actual: arrived, expected: lines.length });
  return { alice: one, bob: other };
}

/** Act 4. */
async function moveToMqtt(cast: Cast): Promise<void> {
  const { world, screen, phone } = cast;
  screen.act('The operator moves Bob to MQTT');
  const commandMs = await operate(cast, ['user', 'set', bob, 'mqtt', '--reason', 'pilot group']);
  const gatewayMs = await moveDuration(world);
  const what = `hand-over in the gateway (the whole command: ${seconds(commandMs)})`;
  screen.count({ what, actual: gatewayMs, atMost: 1000, unit: 'ms' });
  await cast.bob.stop();
  await eventually(() => bobSeen(cast).online.length === 1);
  screen.line('Bob closes his laptop. Alice writes as ever; his phone answers each message.');

  const [before, shownBefore] = [cast.alice.bodies().length, phone.shown.length];
  phone.onShown = ({ from, body }) => phone.send(from.split('/')[0]!, `yes, ${body}`);
  for (let n = 1; n <= questions; n++) await say(cast.alice, bob, `question ${n}`, `question-${n}`);
  await eventually(() => cast.alice.bodies().length >= before + questions);
  phone.onShown = () => {};
  const got = cast.alice.bodies().slice(before);
  const right = inOrder(got, numbered(questions, 'yes, question'));
  screen.count({ what: 'messages on the phone', actual: phone.shown.length - shownBefore, expected: questions });
  screen.count({ what: 'answers at Alice, in order', actual: right, expected: questions });
  screen.count({
    what: "times Bob went offline in Alice's contact list",
    actual: bobSeen(cast).wentOffline,
    expected: 0,
  });
}

/** From the request to the end of the last hand-over, by the times in the audit. */
async function moveDuration(world: World): Promise<number> {
  const { out } = await world.crossfade(['audit', '--user', bob, '--limit', '2', '--json']);
  const times = (JSON.parse(out) as { at: string }[]).map(({ at }) => Date.parse(at));
  return Math.max(...times) - Math.min(...times);
}

/** Act 7. */
async function account(cast: Cast, said: Said): Promise<void> {
  const { screen } = cast;
  screen.act('What the ledger and the audit say');
  await operate(cast, ['ledger', 'counts']);
  const { toMqtt, toXmpp } = await ledgerCounts(cast);
  const fromPhone = said.phone + questions + gulls;
  // what Bob sent was published, too, so that each of his devices would see it
  const published = said.alice + said.laptop + questions + waves + notes + fromPhone;
  screen.count({
    what: 'accepted towards MQTT (with copies of what Bob sent)',
    actual: sum(toMqtt),
    expected: published,
  });
  screen.count({ what: 'accepted towards XMPP, and settled', actual: toXmpp.settled ?? 0, expected: fromPhone });
  screen.count({ what: 'returned to the XMPP server', actual: toMqtt.returned ?? 0, expected: notes });
  screen.count({ what: 'refused for good', actual: (toMqtt.dead ?? 0) + (toXmpp.dead ?? 0), expected: 0 });
  screen.line('Discarded: copies, and what the phone had already, kept in the ledger until');
  screen.line('the broker would have saved it, too.');
  await operate(cast, ['audit', '--user', bob]);
}
