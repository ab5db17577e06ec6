// Client sessions (attach: client) against a server that the test turns, and what a ledger would keep of them.

import type { Element } from 'ltx';
import { onTestFinished } from 'vitest';
import { type Clock, systemClock } from '../../src/clock.ts';
import { ClientLink } from '../../src/xmpp/client-link.ts';
import type { SessionMemory } from '../../src/xmpp/session-memory.ts';
import { account, FakeC2s, type FakeC2sOptions } from './fake-c2s.ts';
import { recordingLog, until } from './support.ts';

export const user = 'bob@example.com';
const presence = '<presence><priority>0</priority></presence>';
export const attach = { user: account.user, resource: 'mqtt', carbons: false, presence };
const original =
  '<message from="alice@example.com/pc" to="bob@example.com" type="chat" id="m1"><body>hi</body></message>';
export const handBack = { to: user, key: 'k1', stamp: '2026-01-02T03:04:05.000Z', stanza: original, ends: false };

/** What a ledger would keep, in memory. */
function memory() {
  const links = new Map<string, { epoch: string; h: number }>();
  const placed = new Map<string, number>();
  const kept: SessionMemory = {
    position: async (link) => links.get(link) ?? null,
    read: async (link, epoch, h) => {
      const there = links.get(link);
      if (there?.epoch !== epoch || h > there.h) links.set(link, { epoch, h });
    },
    placed: async (_, key, n) => void placed.set(key, n),
    resolved: async (_, h) => {
      for (const [key, n] of placed) if (n > (h ?? 0)) placed.delete(key);
      for (const key of placed.keys()) placed.set(key, 0);
      return [...placed.keys()];
    },
    forgotten: (_, keys) => {
      for (const key of keys) placed.delete(key);
    },
  };
  return { kept, links, placed };
}

export async function stage(options: FakeC2sOptions = {}, clock: Clock = systemClock) {
  const fake = new FakeC2s(options);
  const port = await fake.listen();
  const { log, lines } = recordingLog();
  const disk = memory();
  const linkOver = (kept: SessionMemory) =>
    new ClientLink({
      target: { host: '127.0.0.1', port, domain: account.domain, security: 'none' },
      ...{ resource: 'mqtt', perSecond: 1_000, archiveEveryMs: 60_000, limits: {}, clock, log },
      credentialOf: async () => ({ kind: 'found', credential: { password: account.password } }),
      memory: kept,
    });
  const link = linkOver(disk.kept);
  const heard: Element[] = [];
  const lost: string[] = [];
  const seen = new Map<string | undefined, boolean | undefined>();
  link.onStanza = (stanza, arrival, accepted) => {
    heard.push(stanza);
    seen.set(stanza.attrs.id, arrival.seen);
    accepted();
  };
  link.onLost = (jid) => lost.push(jid);
  const up = new Promise<void>((resolve) => {
    link.onUp = () => resolve();
  });
  link.start();
  await up;
  onTestFinished(async () => {
    await link.stop();
    await fake.close();
  });
  const session = () => [...fake.sessions.values()].at(-1)!;
  /** Every connection breaks, and the same session is asked for again. */
  const breakOff = async () => {
    const before = lost.length;
    fake.hangUp();
    await until(() => lost.length > before, 'the loss');
    return (await link.attach([attach]))[0];
  };
  /** Another process, with what is on disk. */
  const nextProcess = async () => {
    const next = linkOver(disk.kept);
    const isUp = new Promise<void>((resolve) => {
      next.onUp = () => resolve();
    });
    next.start();
    await isUp;
    onTestFinished(() => next.stop());
    return next;
  };
  return { fake, link, disk, heard, seen, lost, lines, session, breakOff, nextProcess };
}
