// What the tests of this room share: a component and an attach link against the fake server, and waiting for a thing to become true.

import type { Element } from 'ltx';
import { onTestFinished } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Log } from '../../src/log.ts';
import { AttachLink, type SkippedArrival } from '../../src/xmpp/attach-link.ts';
import { Component, type ComponentOptions } from '../../src/xmpp/component.ts';
import type { LinkUp } from '../../src/xmpp/link.ts';
import type { Arrival } from '../../src/xmpp/session.ts';
import { FakeServer, type FakeServerOptions } from './fake-server.ts';

const quick = { openMs: 300, handshakeMs: 300, pauseMinMs: 5, pauseMaxMs: 40, stableMs: 60_000 };

export function recordingLog() {
  const lines: { level: string; event: string; message?: string; [field: string]: unknown }[] = [];
  const at = (level: string) => (fields: { event: string }, text?: string) =>
    void lines.push({ level, ...fields, message: text });
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  return { log, lines };
}

/** A listening server and a component for it, not started; both end with the test. */
export async function stage(server: FakeServerOptions = {}, component: Partial<ComponentOptions> = {}) {
  const fake = new FakeServer(server);
  const port = await fake.listen();
  const { log, lines } = recordingLog();
  const { timing, ...others } = component;
  const gateway = new Component({
    ...{ host: '127.0.0.1', port, domain: 'gw.example.com', secret: 'a-fake-secret', server: fake.host },
    ...{ clock: systemClock, log, timing: { ...quick, ...timing } },
    ...others,
  });
  onTestFinished(async () => {
    await gateway.stop();
    await fake.close();
  });
  return { fake, gateway, lines, log };
}

/** Resolves with the first value that is neither undefined nor false; looks again at each turn of the event loop. */
export async function until<T>(look: () => T | undefined | false, what = 'it'): Promise<T> {
  const limit = Date.now() + 10_000;
  for (;;) {
    const found = look();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > limit) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

export const bob = 'bob@example.com/mqtt';
export const chat = (id: string | number) =>
  `<message xmlns='jabber:client' id='${id}' from='alice@example.com/a'><body>x</body></message>`;

/** A link that has begun to connect; what it hands out is kept, and accepted unless `hold` is set. */
export async function attachStage(server: FakeServerOptions = {}, component: Partial<ComponentOptions> = {}) {
  const { fake, gateway, lines, log } = await stage(server, component);
  const link = new AttachLink({ component: gateway, host: 'example.com', log, clock: systemClock });
  const heard: { stanza: Element; arrival: Arrival; accepted: () => void }[] = [];
  const skipped: SkippedArrival[] = [];
  const ups: LinkUp[] = [];
  const story = { hold: false, downs: 0 };
  link.onStanza = (stanza, arrival, accepted) => {
    heard.push({ stanza, arrival, accepted });
    if (!story.hold) accepted();
  };
  link.onSkipped = (one, accepted) => {
    skipped.push(one);
    accepted();
  };
  link.onUp = (up) => ups.push(up);
  link.onDown = () => {
    story.downs += 1;
  };
  gateway.start();
  return { fake, gateway, lines, link, heard, skipped, ups, story };
}
