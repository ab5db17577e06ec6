// What is on disk about client sessions, and under which names.

/** What is on disk about client sessions; all resolve when it is there, in the order they were called. */
export interface SessionMemory {
  /** The SM-ID of the last session, '' where it has ended in order; and up to where its stanzas are here. */
  position(link: string): Promise<{ epoch: string; h: number } | null>;
  read(link: string, epoch: string, h: number): Promise<void>;
  /** Our stanza number n, before it is written to the stream. */
  placed(link: string, key: string, n: number): Promise<void>;
  /** The server has processed ours up to h, modulo 2^32; null: it does not say. Gives all keys that it has processed. */
  resolved(link: string, h: number | null): Promise<string[]>;
  /** Behind everything that was told before: the entries of these keys know it. */
  forgotten(link: string, keys: string[]): void;
}

/** The same, and whether an answer of it is still to come. */
export function watched(memory: SessionMemory): { memory: SessionMemory; isAwaited: () => boolean } {
  let awaited = 0;
  const watch = <T>(answer: Promise<T>): Promise<T> => {
    const ended = () => {
      awaited -= 1;
    };
    awaited += 1;
    answer.then(ended, ended);
    return answer;
  };
  return {
    isAwaited: () => awaited > 0,
    memory: {
      position: (link) => watch(memory.position(link)),
      read: (link, epoch, h) => watch(memory.read(link, epoch, h)),
      placed: (link, key, n) => memory.placed(link, key, n),
      resolved: (link, h) => watch(memory.resolved(link, h)),
      forgotten: (link, keys) => memory.forgotten(link, keys),
    },
  };
}

export function linkOf(user: string): string {
  return `c2s/${user}`;
}

/** Names a session in the ledger: what the server needs to resume it, and which resource it is. No resource has a line end. */
export const epochOf = (resource: string, smId: string) => `${resource}\n${smId}`;
export const readEpoch = (epoch: string) => {
  const at = epoch.indexOf('\n');
  return { resource: epoch.slice(0, at), smId: epoch.slice(at + 1) };
};
