// Tries how many messages the broker keeps for a client that is away: it fills the queue of one that nobody else is, and counts what comes out. No broker tells.

import type { Clock, Timer } from '../clock.ts';
import type { Log } from '../log.ts';
import { type Address, connectOnce, type Live } from './connect-once.ts';
import { encodePubacks, type ProtocolVersion } from './packet.ts';
import { startPublisher } from './publisher.ts';

export interface QueueTrial {
  /** Messages the broker has taken (PUBACK below 128) for a client that was away. */
  taken: number;
  /** Of these, what it still had when that client came back. */
  kept: number;
}

export interface Tried {
  address: Address;
  root: string;
  count: number;
  clock: Clock;
  log: Log;
}

const patienceMs = 20_000;
/** So long nothing comes before a last message is sent behind all others; and again, should that one be dropped. */
const quietMs = 1_000;
/** A session of a broker with MQTT 5 that could not be ended is forgotten by then. */
const sessionExpirySeconds = 60;

/** Rejects with an Error where the trial cannot be made. Ends the session it has made. */
export async function tryQueue({ address, root, count, clock, log }: Tried): Promise<QueueTrial> {
  const clientId = `crossfade-probe-${Math.floor(clock.random() * 1e9)}`;
  // No channel of ours, of a user that is not: nobody but an observer of everything sees it.
  const topic = `${root}/crossfade-probe/in/queue`;
  const seat = { address, clientId, clock };
  const late = Promise.withResolvers<never>();
  const timer = clock.after(patienceMs, () => late.reject(new Error('the trial of the queue took too long')));
  const up = Promise.withResolvers<void>();
  const told = { onUp: up.resolve, onDown() {}, onBoot() {}, onDropped() {} };
  const publisher = startPublisher({ address, clock, log }, `${clientId}-pub`, told);
  const inTime = <T>(work: Promise<T>): Promise<T> => Promise.race([work, late.promise]);
  let version: ProtocolVersion = 5;
  try {
    await inTime(up.promise);
    version = publisher.reasonCodes ? 5 : 4;
    const away = await inTime(sit({ ...seat, version, clean: false }));
    await inTime(away.client.subscribeAsync(topic, { qos: 1 }));
    await inTime(away.leave());
    const say = (payload: string) => publisher.publish({ topic, payload, qos: 1 });
    const answers = await inTime(Promise.all(Array.from({ length: count }, (_, n) => say(String(n)))));
    const taken = answers.filter((answer) => answer.kind === 'acked' && answer.code < 128).length;
    if (taken === 0) throw new Error('the broker takes no publish of the trial');
    return { taken, kept: await inTime(countKept(seat, version, taken, () => void say('end'))) };
  } finally {
    timer.cancel();
    await forget({ ...seat, version });
    await publisher.close();
  }
}

interface Seat {
  address: Address;
  clientId: string;
  clock: Clock;
  version: ProtocolVersion;
  clean: boolean;
  onPayload?(payload: string): void;
}

/** One connection as the client whose queue is tried. */
async function sit({ address, clientId, clock, version, clean, onPayload }: Seat) {
  const opened = Promise.withResolvers<Live>();
  const session = { clientId, clean, ...(!clean && { sessionExpirySeconds }) };
  const leave = connectOnce(address, session, version, clock, {
    onOpen: (live) => opened.resolve(live),
    onPublish({ messageId, payload }, live, release) {
      if (messageId !== undefined) live.client.stream.write(encodePubacks([messageId]));
      onPayload?.(payload.toString());
      release();
    },
    onEnd: ({ reason }) => opened.reject(new Error(reason)),
  });
  const { client } = await opened.promise;
  return { client, leave };
}

/** Comes back and counts. Once nothing more comes, `sayLast` sends one more message, and what has not come before it does not come. */
async function countKept(
  seat: Omit<Seat, 'version' | 'clean'>,
  version: ProtocolVersion,
  taken: number,
  sayLast: () => void,
): Promise<number> {
  const seen = new Set<string>();
  const done = Promise.withResolvers<void>();
  let quiet: Timer | undefined;
  const wait = () => {
    quiet?.cancel();
    quiet = seat.clock.after(quietMs, () => {
      sayLast();
      wait();
    });
  };
  const onPayload = (payload: string) => {
    if (payload === 'end' || seen.add(payload).size === taken) done.resolve();
    else wait();
  };
  const back = await sit({ ...seat, version, clean: false, onPayload });
  try {
    wait();
    await done.promise;
  } finally {
    quiet?.cancel();
    await back.leave();
  }
  return seen.size;
}

/** A clean session in its place, and nothing is left at the broker. */
async function forget(seat: Omit<Seat, 'clean'>): Promise<void> {
  const last = await sit({ ...seat, clean: true }).catch(() => null);
  await last?.leave();
}
