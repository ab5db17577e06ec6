// Faults put into the gateway on purpose, each where it meets the outside: the invariants must find every one.

import type { Core, Outside } from '../../src/core.ts';
import type { Draft, Ledger, Outcome } from '../../src/ledger/ledger.ts';

export type Sabotage = (outside: Outside, core: () => Core) => Outside;

/** The same ledger with another `accept`. */
function withAccept(outside: Outside, accept: Ledger['accept']): Outside {
  const { ledger } = outside;
  const changed: Ledger = {
    accept,
    do: (name, args) => ledger.do(name, args),
    note: (name, args) => ledger.note(name, args),
    set onCommitted(handler) {
      ledger.onCommitted = handler;
    },
    get onCommitted() {
      return ledger.onCommitted;
    },
    get writable() {
      return ledger.writable;
    },
    get uncommittedBytes() {
      return ledger.uncommittedBytes;
    },
    close: () => ledger.close(),
  };
  return { ...outside, ledger: changed };
}

/** What comes is acknowledged before it is on disk. */
export const acknowledgesEarly: Sabotage = (outside) =>
  withAccept(outside, (draft, copy) => {
    const accepting = outside.ledger.accept(draft, copy);
    return { ...accepting, outcome: Promise.resolve<Outcome>({ kind: 'new' }) };
  });

/** Every seventh message is told to be a repeat and not written. */
export const forgetsMessages: Sabotage = (outside) => {
  let count = 0;
  return withAccept(outside, (draft, copy) => {
    if (++count % 7 > 0) return outside.ledger.accept(draft, copy);
    return { seq: 0, key: 'lost', outcome: Promise.resolve<Outcome>({ kind: 'repeat' }) };
  });
};

/** What comes a second time is not recognised. */
export const forgetsRepeatKeys: Sabotage = (outside) => {
  const without = (make: (key: string) => Draft) => (key: string) => ({
    ...make(key),
    contentKey: undefined,
    requestKey: undefined,
  });
  return withAccept(outside, (draft, copy) => outside.ledger.accept(without(draft), copy));
};

/** Every message is taken for one that somebody else has, too: a rollback returns none. */
export const keepsCopiesOnly: Sabotage = (outside) =>
  withAccept(outside, (draft, copy) => outside.ledger.accept((key) => ({ ...draft(key), custody: 'copy' }), copy));

/** The peer's messages are spread over two conversations, so that one may overtake the other. */
export const mixesOrder: Sabotage = (outside) =>
  withAccept(outside, (draft, copy) =>
    outside.ledger.accept(
      (key) => ({ ...draft(key), peer: `${draft(key).peer}${key.charCodeAt(key.length - 1) % 2}` }),
      copy,
    ),
  );

/** A PUBACK is taken for granted. */
export const trustsTheBroker: Sabotage = (outside) => {
  const { broker } = outside;
  const hasty = Object.create(broker, {
    publish: {
      value: (message: Parameters<typeof broker.publish>[0]) => {
        void broker.publish(message);
        return Promise.resolve({ kind: 'acked', code: 0 });
      },
    },
    up: { get: () => broker.up },
    window: { get: () => broker.window },
    reasonCodes: { get: () => broker.reasonCodes },
    heardAt: { get: () => broker.heardAt },
  });
  return { ...outside, broker: hasty };
};

/** The key under which a stanza is sent is a new one each time. */
export const sendsWithNewKeys: Sabotage = (outside) => {
  let count = 0;
  return { ...outside, sendAttached: (jid, stanza, key) => outside.sendAttached(jid, stanza, `${key}-${++count}`) };
};
