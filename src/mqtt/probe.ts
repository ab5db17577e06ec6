// Asks a broker whether it takes publishes of anybody: with such a broker the sender in the topic would prove nothing.

import type { Clock } from '../clock.ts';
import { type Address, connectOnce } from './connect-once.ts';
import { encodePublish, type ProtocolVersion } from './packet.ts';

const answerTimeoutMs = 10_000;
const hungUpPauseMs = 1_000;
/** No channel of Crossfade's, of a user that is not: it harms nobody. */
const probeTopics = ['in/probe', 'out/probe'];

/**
 * Asks without the account and the client certificate in `address`: true if the broker lets an anonymous client publish under `root` (to apps or to the gateway). With MQTT 5 the PUBACK tells.
 * On 3.1.1 a denied publish gets the same PUBACK, so there an anonymous client that may connect counts as one that may
 * publish: it is asked in 3.1.1 only when it refuses MQTT 5 or hangs up on it twice. Rejects with an Error if the broker cannot be reached or does not answer.
 */
export async function probeAnonymous(address: Address, root: string, clock: Clock): Promise<boolean> {
  const anybody = { url: address.url.replace(/\/\/[^/]*@/, '//'), tls: { ca: address.tls?.ca } };
  let answer = await probeWith(anybody, root, clock, 5);
  if (answer === 'hung up') {
    await new Promise<void>((resolve) => clock.after(hungUpPauseMs, resolve));
    answer = await probeWith(anybody, root, clock, 5);
  }
  return typeof answer === 'boolean' ? answer : (await probeWith(anybody, root, clock, 4)) === true;
}

function probeWith(
  address: Address,
  root: string,
  clock: Clock,
  version: ProtocolVersion,
): Promise<boolean | 'hung up' | 'try 3.1.1'> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean | 'hung up' | 'try 3.1.1'>();
  let taken = false;
  let answers = 0;
  let late = false;
  const session = { clientId: `crossfade-probe-${Math.floor(clock.random() * 1e9)}`, clean: true };
  const end = connectOnce(address, session, version, clock, {
    onOpen({ client }) {
      const packets = probeTopics.map((end, index) =>
        encodePublish({ topic: `${root}/crossfade-probe/${end}`, payload: '{}', qos: 1 }, index + 1, version),
      );
      client.stream.write(Buffer.concat(packets.filter((packet) => packet !== null)));
    },
    onPacket(packet) {
      if (packet.cmd !== 'puback') return;
      if ((packet.reasonCode ?? 0) < 128) taken = true;
      if (++answers === probeTopics.length) void end();
    },
    onPublish: (_packet, _live, release) => release(),
    onEnd({ reason, opened, refusesFive, hungUp, refused }) {
      timer.cancel();
      // a broker may also answer a publish that it denies by ending the connection
      if (taken || refused || (opened && !late)) resolve(taken);
      else if (refusesFive) resolve('try 3.1.1');
      else if (hungUp) resolve('hung up');
      else
        reject(
          new Error(`the broker does not tell whether it takes anonymous publishes: ${late ? 'no answer' : reason}`),
        );
    },
  });
  const timer = clock.after(answerTimeoutMs, () => {
    late = true;
    void end();
  });
  return promise;
}
