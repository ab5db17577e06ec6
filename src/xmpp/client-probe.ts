// Is there a server for clients, with TLS and whatever else it needs? Nobody logs in for that.

import type { Element } from 'ltx';
import { type ClientListener, ClientStream, type ClientStreamOptions, type Closed } from './client-stream.ts';

export interface Probe {
  /** Its features before the login, or what ended the attempt. Never rejects. */
  readonly result: Promise<{ features: Element } | { closed: Closed }>;
  cancel(): void;
}

export function probe(options: Omit<ClientStreamOptions, 'login'>): Probe {
  const { promise, resolve } = Promise.withResolvers<{ features: Element } | { closed: Closed }>();
  const listener: ClientListener = {
    onFeatures(features) {
      resolve({ features });
      stream.end();
    },
    onElement() {},
    onSkipped() {},
    onClosed: (closed) => resolve({ closed }),
  };
  const stream = new ClientStream(options, listener);
  return { result: promise, cancel: () => stream.drop('stopped') };
}
