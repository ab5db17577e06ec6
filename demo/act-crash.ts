// Act 5: a stream of messages both ways, and the gateway is killed with -9 in the middle.

import { setTimeout as sleep } from 'node:timers/promises';
import { alice, bob, bobSeen, type Cast } from './cast.ts';
import { eventually, inOrder, numbered, say } from './people.ts';
import { seconds } from './screen.ts';

const streamMs = 3_000;

/** `waves` go from Alice to the phone, `gulls` back. */
export async function stream(cast: Cast, { waves, gulls }: { waves: number; gulls: number }): Promise<void> {
  const { screen, phone } = cast;
  screen.act(`${waves} messages to the phone, ${gulls} back, and kill -9 of the gateway amid them`);
  const before = { phone: phone.shown.length, alice: cast.alice.bodies().length };
  const atPhone = () => phone.shown.slice(before.phone).map(({ body = '' }) => body);
  const atAlice = () => cast.alice.bodies().slice(before.alice);
  const progress = () => `phone ${atPhone().length} of ${waves}, Alice ${atAlice().length} of ${gulls}`;
  let written = 0;
  const writing = Promise.all([
    paced(waves, async (n) => {
      await say(cast.alice, bob, `wave ${n}`, `wave-${n}`);
      written = n;
    }),
    paced(gulls, async (n) => phone.send(alice, `gull ${n}`)),
  ]);
  const showing = setInterval(() => screen.progress(progress()), 100);
  await eventually(() => atPhone().length >= waves / 3);
  await crash(cast, progress, () => written);
  await writing;
  await eventually(() => atPhone().length >= waves && atAlice().length >= gulls && phone.idle);
  clearInterval(showing);

  screen.count({
    what: 'on the phone, in order',
    actual: inOrder(atPhone(), numbered(waves, 'wave')),
    expected: waves,
  });
  // What the embedded broker kept for the gateway it hands over beside what is published at that moment.
  const keepsOrder = cast.world.broker.kind === 'mosquitto';
  screen.count({
    what: keepsOrder ? 'at Alice, in order' : 'at Alice (in the order of the embedded broker)',
    actual: keepsOrder ? inOrder(atAlice(), numbered(gulls, 'gull')) : new Set(atAlice()).size,
    expected: gulls,
  });
  const { dropped } = phone;
  const what = `repeats that the phone showed (dropped by their key: ${dropped})`;
  screen.count({ what, actual: repeats(atPhone()), expected: 0 });
  screen.count({ what: 'repeats at Alice', actual: repeats(atAlice()), expected: 0 });
  const errors = cast.alice.inbox.all.filter(({ attrs }) => attrs.type === 'error').length + phone.refused.length;
  screen.count({ what: 'errors at Alice and on the phone', actual: errors, expected: 0 });
  screen.count({
    what: "times Bob went offline in Alice's contact list",
    actual: bobSeen(cast).wentOffline,
    expected: 0,
  });
}

async function crash({ world, screen }: Cast, progress: () => string, written: () => number): Promise<void> {
  const [startedAt, writtenBefore] = [performance.now(), written()];
  screen.command(`kill -9 ${world.gateway.pid}`);
  await world.killGateway();
  screen.line(`Gone: ${progress()}. It is started again as it was.`);
  await world.startGateway();
  const away = seconds(performance.now() - startedAt);
  screen.line(`Back after ${away}; Alice wrote ${written() - writtenBefore} more meanwhile.`);
}

/** So many times, spread evenly over the stream. */
async function paced(times: number, send: (n: number) => Promise<void>): Promise<void> {
  const startedAt = performance.now();
  for (let n = 1; n <= times; n++) {
    await send(n);
    await sleep(Math.max(0, startedAt + (n * streamMs) / times - performance.now()));
  }
}

const repeats = (all: string[]) => all.length - new Set(all).size;
