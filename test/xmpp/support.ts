// What the tests of this room share: a component against the fake server, and waiting for a thing to become true.

import { onTestFinished } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Log } from '../../src/log.ts';
import { Component, type ComponentOptions } from '../../src/xmpp/component.ts';
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
