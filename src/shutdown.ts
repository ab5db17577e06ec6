// The end of a gateway: what is out is awaited for a while, what was taken is written, and an account is given of both.

import type { Core } from './core.ts';
import type { Pressure } from './flow/pressure.ts';
import type { Counts, Lane, Ledger } from './ledger/ledger.ts';
import type { Log } from './log.ts';

type ByLane = Record<Lane, number>;

/** For the log; null: the gateway had not begun to work. */
export type Stopped = {
  /** Out at the signal, and answered meanwhile. */
  drained: ByLane;
  /** Out, and not answered in the drain time. */
  unanswered: ByLane;
  /** What the ledger takes up after the next start, these included; absent where its thread has ended. */
  waiting?: ByLane;
  /** Why the last commits could not be made: what they held was acknowledged to nobody. */
  unwritten?: string;
} | null;

interface Parts {
  core: Core;
  pressure: Pressure;
  ledger: Ledger;
  log: Log;
}

/**
 * Nothing more is sent. The server's results come among its stanzas, so these are read, written and acknowledged as ever until
 * everything is answered or the drain time is over; then nothing more is read from either side.
 */
export async function drain({ core, pressure, ledger, log }: Parts, drainMs: number): Promise<Stopped> {
  const { toMqtt, toXmpp } = await core.stop(drainMs);
  const drained = { toMqtt: toMqtt.answered, toXmpp: toXmpp.answered };
  const unanswered = { toMqtt: toMqtt.unanswered, toXmpp: toXmpp.unanswered };
  if (unanswered.toMqtt + unanswered.toXmpp > 0)
    log.warn(
      { event: 'gateway.undrained', unanswered, drainMs },
      'not answered within shutdown.drainTime; it goes again after the next start, with the same keys',
    );
  pressure.stop();
  // In line behind all that was taken: it is on disk now, and its acknowledgements go before the links do.
  const counts = await ledger.do('counts', {}).catch(() => null);
  await new Promise((resolve) => setImmediate(resolve));
  const unwritten = ledger.trouble ?? undefined;
  if (!counts) return { drained, unanswered, unwritten };
  const waitingOf = ({ accepted, sent, acked }: Counts[Lane]) => accepted + sent + acked;
  const waiting = { toMqtt: waitingOf(counts.toMqtt), toXmpp: waitingOf(counts.toXmpp) };
  return { drained, unanswered, waiting, unwritten };
}
