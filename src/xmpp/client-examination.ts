// What an account finds behind its login (attach: client): the session's resumption, its archive. It is not seen, and leaves nothing there.

import { randomBytes } from 'node:crypto';
import type { Element } from 'ltx';
import { ClientStream, type ClientStreamOptions, type Closed } from './client-stream.ts';
import { NS_BIND, NS_DISCO_INFO, NS_MAM, NS_SM } from './namespaces.ts';
import { childOf, elementsOf } from './stanza.ts';
import { tag } from './xml-writer.ts';

export interface AccountFacts {
  resumes: boolean;
  /** Seconds that a session without connection is kept; absent where the server does not tell. */
  resumeSeconds?: number;
  archive: boolean;
}

/** Logs in, binds a resource of the server's choice, asks, and ends the session. Never rejects. */
export function examineAccount(
  options: ClientStreamOptions & Required<Pick<ClientStreamOptions, 'login'>>,
): Promise<AccountFacts | { closed: Closed }> {
  const { promise, resolve } = Promise.withResolvers<AccountFacts | { closed: Closed }>();
  const { domain } = options.target;
  const me = `${options.login.user}@${domain}`;
  // Nobody else can answer for these.
  const [bindId, infoId] = [randomBytes(9).toString('base64url'), randomBytes(9).toString('base64url')];
  const found = new Map<string, Element>();
  const take = (name: string, element: Element) => {
    found.set(name, element);
    if (name === 'bind') {
      stream.write(tag('enable', { xmlns: NS_SM, resume: 'true' }));
      stream.write(tag('iq', { type: 'get', id: infoId, to: me }, tag('query', { xmlns: NS_DISCO_INFO })));
    }
    if (found.size < 3) return;
    resolve(factsOf(found));
    stream.end();
  };
  const stream: ClientStream = new ClientStream(options, {
    onFeatures: () => stream.write(tag('iq', { type: 'set', id: bindId }, tag('bind', { xmlns: NS_BIND }))),
    onElement(element) {
      const { xmlns, id } = element.attrs;
      if (id === bindId) take('bind', element);
      else if (id === infoId) take('info', element);
      else if (xmlns === NS_SM && /^(enabled|failed)$/.test(element.name)) take('sm', element);
    },
    onSkipped() {},
    onClosed: (closed) => resolve({ closed }),
  });
  return promise;
}

function factsOf(found: Map<string, Element>): AccountFacts {
  const info = childOf(found.get('info')!, 'query', NS_DISCO_INFO);
  const { name, attrs } = found.get('sm')!;
  return {
    resumes: name === 'enabled' && /^(true|1)$/.test(attrs.resume ?? ''),
    ...(attrs.max !== undefined && { resumeSeconds: Number(attrs.max) }),
    archive: info !== undefined && elementsOf(info).some((one) => one.attrs.var === NS_MAM),
  };
}
