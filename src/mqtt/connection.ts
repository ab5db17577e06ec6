// A connection that is opened again whenever it ends: a fresh client each time (mqtt.js would repeat from a store of its
// own, and only the ledger repeats), MQTT 5 first each time and 3.1.1 where the broker refuses it, jittered back-off.

import type { Clock, Timer } from '../clock.ts';
import type { Log } from '../log.ts';
import { type Address, type ConnectionEvents, connectOnce, type SessionOptions } from './connect-once.ts';
import type { ProtocolVersion } from './packet.ts';

/** The handlers for one connection; `onClosed` comes last and exactly once. */
export interface Handlers extends Omit<ConnectionEvents, 'onEnd'> {
  onClosed(reason: string): void;
}

export interface ConnectionParts {
  address: Address;
  clock: Clock;
  log: Log;
}

export interface Connection {
  /** Ends the connection with a DISCONNECT and stays closed; resolves when the socket is closed. */
  close(): Promise<void>;
}

const firstPauseMs = 250;
const longestPauseMs = 30_000;
/** After a connection that lasted this long the back-off starts anew. */
const stableMs = 5_000;
/** So many in a row that were taken and ended at once: two that take each other's place look like that, and not every broker says 142. */
const manyShort = 3;
const sharedId =
  'does a second gateway run with the same mqtt.clientId? each would take the place of the other for ever';
/** A broker that is restarting hangs up as well, and 3.1.1 would cost us the reason codes: one hang-up says nothing. */
const hangUpsThatRefuse = 2;

/** The pause before the next attempt: 0.25 s doubling to 30 s with `failures`, its upper half by chance (0 ≤ chance < 1). */
export function pauseMs(failures: number, chance: number): number {
  const full = Math.min(longestPauseMs, firstPauseMs * 2 ** failures);
  return Math.round(full * (0.5 + chance / 2));
}

/**
 * Keeps a connection open until `close()`; `attach` makes the handlers for each. Never throws: a failed attempt is logged
 * with what to do about it, and made again.
 */
export function keepConnected(parts: ConnectionParts, session: SessionOptions, attach: () => Handlers): Connection {
  const { address, clock, log } = parts;
  const client = session.clientId;
  let failures = 0;
  /** Taken and ended at once, in a row. */
  let short = 0;
  let hangUps = 0;
  let closing = false;
  let pause: Timer | undefined;
  let end: (() => Promise<void>) | undefined;

  const open = (version: ProtocolVersion) => {
    const startedAt = clock.now();
    const { onClosed, ...handlers } = attach();
    end = connectOnce(address, session, version, clock, {
      ...handlers,
      onOpen(live, connack) {
        log.info({ event: 'mqtt.connected', client, protocol: version === 5 ? '5.0' : '3.1.1' });
        handlers.onOpen(live, connack);
      },
      onEnd({ reason, opened, refusesFive, hungUp }) {
        end = undefined;
        onClosed(reason);
        if (closing) return;
        hangUps = hungUp ? hangUps + 1 : 0;
        if (refusesFive || hangUps === hangUpsThatRefuse) return open(4);
        const wasStable = opened && clock.now() - startedAt >= stableMs;
        if (wasStable) failures = 0;
        short = opened && !wasStable ? short + 1 : 0;
        const retryInMs = pauseMs(failures++, clock.random());
        const text = opened ? 'the connection to the broker ended' : 'cannot connect to the broker';
        const doubt = short >= manyShort ? { hint: sharedId } : {};
        log.warn({ event: 'mqtt.disconnected', client, reason, retryInMs, ...doubt }, text);
        pause = clock.after(retryInMs, () => open(5));
      },
    });
  };
  open(5);
  return {
    async close() {
      closing = true;
      pause?.cancel();
      await end?.();
    },
  };
}
