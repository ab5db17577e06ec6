// The gateway's side towards the legacy server: the component connection, and the link that carries moved users.

import { systemClock } from './clock.ts';
import type { Config } from './config.ts';
import type { Outside } from './core.ts';
import { credentialSource } from './credentials.ts';
import { legacyServer } from './flow/legacy-server.ts';
import type { Source } from './flow/pressure.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { Log } from './log.ts';
import { AttachLink } from './xmpp/attach-link.ts';
import { ClientLink } from './xmpp/client-link.ts';
import { Component } from './xmpp/component.ts';
import type { Link } from './xmpp/link.ts';
import { OwnDomain } from './xmpp/own-domain.ts';
import type { SessionMemory } from './xmpp/session-memory.ts';

export type Xmpp = Pick<Outside, 'server' | 'sendAttached' | 'ownSession'> & {
  component: Component;
  link: Link;
  sources: Source[];
  /** Connects. Nothing is heard before. */
  start: () => void;
  stop(): Promise<void>;
};

/** The component connection, and what is spoken over it, or beside it. */
export async function openXmpp(config: Pick<Config, 'xmpp'>, ledger: Ledger, log: Log): Promise<Xmpp> {
  const { xmpp } = config;
  const { host, port, domain, secret } = xmpp.component;
  const limits = { maxBytes: xmpp.maxInboundBytes };
  const component = new Component({ host, port, domain, secret, server: xmpp.domain, clock: systemClock, log, limits });
  const clients = xmpp.attach.kind === 'client' ? clientLink(config, ledger, log) : null;
  const link = clients ?? (await moduleLink(config, component, ledger, log));
  const own = new OwnDomain(component);
  return {
    ...{ component, link },
    sources: clients ? [component, clients] : [component],
    server: legacyServer(link, xmpp.attach.resource),
    sendAttached: (jid, stanza, key) => link.send(jid, stanza, key),
    ownSession: (jid) => (component.online ? own.session(jid) : undefined),
    start() {
      component.start();
      clients?.start();
    },
    async stop() {
      const stopped = await Promise.allSettled([clients?.stop(), component.stop()]);
      const faults = stopped.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
      if (faults.length > 0) throw new AggregateError(faults, faults.map(String).join('; '));
    },
  };
}

async function moduleLink(
  { xmpp }: Pick<Config, 'xmpp'>,
  component: Component,
  ledger: Ledger,
  log: Log,
): Promise<AttachLink> {
  const link = `${xmpp.component.domain}/${xmpp.domain}`;
  const from = (await ledger.do('position', { link })) ?? undefined;
  return new AttachLink({ component, host: xmpp.domain, log, clock: systemClock, from });
}

function clientLink({ xmpp }: Pick<Config, 'xmpp'>, ledger: Ledger, log: Log): ClientLink {
  const { host, port, security, ca, sessionsPerSecond, archiveEvery, credentials } = xmpp.client;
  return new ClientLink({
    target: { host, port, security, ca, domain: xmpp.domain },
    resource: xmpp.attach.resource,
    perSecond: sessionsPerSecond,
    archiveEveryMs: archiveEvery,
    credentialOf: credentialSource(credentials),
    memory: memoryIn(ledger),
    limits: { maxBytes: xmpp.maxInboundBytes },
    clock: systemClock,
    log,
  });
}

/** What client sessions keep on disk. */
export function memoryIn(ledger: Ledger): SessionMemory {
  return {
    position: (link) => ledger.do('position', { link }),
    read: (link, epoch, h) => ledger.do('linkRead', { link, epoch, h }),
    placed: (link, key, n) => ledger.do('outPlaced', { link, key, n }),
    resolved: (link, h) => ledger.do('outResolved', { link, h }),
    forgotten: (link, keys) => ledger.note('outForgotten', { link, keys }),
  };
}
