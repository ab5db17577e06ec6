// Faults put into the gateway on purpose, each where it meets the outside: the invariants must find every one.

import type { Core, Outside } from '../../src/core.ts';
import type { Draft, Entry, Ledger, Outcome } from '../../src/ledger/ledger.ts';
import type { Operations } from '../../src/ledger/operations.ts';
import type { LegacyServer } from '../../src/migration/server.ts';

export type Sabotage = (outside: Outside, core: () => Core) => Outside;

/** The same ledger with another `accept`. */
function withAccept(outside: Outside, accept: Ledger['accept']): Outside {
  const { ledger } = outside;
  const changed: Ledger = {
    accept,
    do: (name, args) => ledger.do(name, args),
    note: (name, args) => ledger.note(name, args),
    together: (act) => ledger.together(act),
    set onCommitted(handler) {
      ledger.onCommitted = handler;
    },
    get onCommitted() {
      return ledger.onCommitted;
    },
    get writable() {
      return ledger.writable;
    },
    get trouble() {
      return ledger.trouble;
    },
    get uncommittedBytes() {
      return ledger.uncommittedBytes;
    },
    close: () => ledger.close(),
  };
  return { ...outside, ledger: changed };
}

/** What a sabotage makes of a request to the ledger. */
type Changed = { [Name in keyof Operations]?: (ask: Ledger['do'], args: Parameters<Operations[Name]>[0]) => unknown };

/** The same ledger, some of whose requests are others. */
function withDo(outside: Outside, changes: Changed): Outside {
  const changed = withAccept(outside, (draft, copy) => outside.ledger.accept(draft, copy));
  const { ledger } = changed;
  const ask = ledger.do;
  ledger.do = ((name: keyof Operations, args: never) => changes[name]?.(ask, args) ?? ask(name, args)) as typeof ask;
  return changed;
}

/** The same server, some of whose acts are others. */
function withServer(outside: Outside, acts: Partial<LegacyServer>): Outside {
  const server = new Proxy(outside.server, {
    get(target, name) {
      if (name in acts) return acts[name as keyof LegacyServer];
      const value = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { ...outside, server };
}

const processed = { kind: 'processed' } as const;

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

/** Copies begin only when the session has ended. */
export const detachesBeforeObserving: Sabotage = (outside) => {
  const { server } = outside;
  const late = new Set<string>();
  return withServer(outside, {
    async observe(user) {
      late.add(user);
      return processed;
    },
    async detach(jid) {
      const answer = await server.detach(jid);
      for (const user of late) void server.observe(user);
      late.clear();
      return answer;
    },
  });
};

/** Copies end before the session has begun. */
export const unobservesTooEarly: Sabotage = (outside) => {
  const { server } = outside;
  return withServer(outside, {
    async attach(user, shown) {
      await server.unobserve(user);
      return server.attach(user, shown);
    },
  });
};

/** Of what it has alone the gateway hands back nothing, and says it has. */
export const handsNothingBack: Sabotage = (outside) => withServer(outside, { giveBack: async () => processed });

/** What is handed back ends, in `dual`, too. */
export const endsWhatItHandsBack: Sabotage = (outside) =>
  withDo(outside, { handedBack: (ask, args) => ask('returned', args) });

/** Whoever was locked out stays so. */
export const forgetsToUnlock: Sabotage = (outside) => withServer(outside, { unlock: async () => processed });

/** The first word of a show is the last. */
export const showsOnlyOnce: Sabotage = (outside) => withServer(outside, { show: async () => processed });

/** After one page of the archive the gap is taken to be closed. */
export const readsOnePage: Sabotage = (outside) =>
  withDo(outside, { caughtUp: (ask, args) => (args.done ? undefined : ask('caughtUp', { ...args, done: true })) });

/** Neither a lost session nor copies that were left out open a gap: the mark moves on over what is missing. */
export const movesMarksOverGaps: Sabotage = (outside) => withDo(outside, { gapOpened: async () => undefined });

/** A new epoch leaves the marks as they are. */
export const overlooksNewEpochs: Sabotage = (outside) =>
  withDo(outside, {
    async epochBegan(ask, args) {
      await ask('epochBegan', args);
      for (const { user, mark } of await ask('marksToMend', { after: '', limit: 1_000 }))
        if (mark.gapAt !== undefined) await ask('caughtUp', { user, gapAt: mark.gapAt, place: mark, done: true });
    },
  });

/** The archive's ids are not looked at. */
export const forgetsArchiveIds: Sabotage = (outside) =>
  withAccept(outside, (draft, copy) =>
    outside.ledger.accept((key) => ({ ...draft(key), archiveKey: undefined }), copy),
  );

/** A gap is closed without a word where there is no archive. */
export const concealsGaps: Sabotage = (outside) =>
  withDo(outside, {
    caughtUp: (ask, args) =>
      args.missed ? ask('caughtUp', { ...args, missed: undefined }).then(() => false) : undefined,
  });

/** A copy of the entry that does not know when it expires. */
const timeless = (entry: Entry): Entry => ({ ...entry, expiresAt: undefined });

/** What has expired is sent all the same. */
export const sendsWhatHasExpired: Sabotage = (outside) => {
  const { ledger } = outside;
  const changed = withDo(outside, {
    expired: async () => [],
    toSend: async (ask, args) => (await ask('toSend', args)).map(timeless),
  });
  Object.defineProperty(changed.ledger, 'onCommitted', {
    set(handler: Ledger['onCommitted']) {
      ledger.onCommitted = (entry) => handler(timeless(entry));
    },
  });
  return changed;
};

/** What has expired is never ended: it is not sent, and what comes behind it waits. */
export const neverEndsWhatHasExpired: Sabotage = (outside) => withDo(outside, { expired: async () => [] });

/** What has expired ends without a word to its sender. */
export const concealsExpiry: Sabotage = (outside) =>
  withAccept(outside, (draft, copy) => {
    if (draft('probe').channel !== 'error') return outside.ledger.accept(draft, copy);
    return { seq: 0, key: 'untold', outcome: Promise.resolve<Outcome>({ kind: 'new' }) };
  });

/** What is refused for good ends at once, and nobody is left who could decide. */
export const throwsAwayWhatIsRefused: Sabotage = (outside) => {
  const changed = withAccept(outside, (draft, copy) => outside.ledger.accept(draft, copy));
  changed.ledger.note = (name, args) => {
    if (name !== 'refused') return outside.ledger.note(name, args);
    const { seq, at } = args as { seq: number; at: number };
    outside.ledger.note('discard', { seqs: [seq], at, reason: 'refused' });
  };
  return changed;
};

/** A stanza that can become no entry leaves no trace. */
export const forgetsRefusals: Sabotage = (outside) =>
  withAccept(outside, (draft, copy) => {
    if (!draft('probe').refused) return outside.ledger.accept(draft, copy);
    return { seq: 0, key: 'untraced', outcome: Promise.resolve<Outcome>({ kind: 'new' }) };
  });

/** Whatever was out when the connection ended is given up. */
export const givesUpWhatIsLost: Sabotage = (outside) => ({
  ...outside,
  async sendAttached(jid, stanza, key) {
    const result = await outside.sendAttached(jid, stanza, key);
    return result.kind === 'lost' ? { kind: 'refused', condition: 'undefined-condition', text: 'lost' } : result;
  },
});
