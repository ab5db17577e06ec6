// Known weaknesses of servers and brokers, by release: what an operator should know before moving users. Data, and how releases compare. Pure.

import type { Finding } from './finding.ts';

interface Weakness extends Pick<Finding, 'what' | 'why' | 'todo'> {
  id: string;
  software: RegExp;
  /** Mended in this release; absent: in none that we know. */
  before?: string;
}

const weaknesses: Weakness[] = [
  {
    id: 'server.authzid',
    software: /^ejabberd$/i,
    before: '26.07',
    what: 'SASL PLAIN takes any authorization identity',
    why: 'whoever has one valid password of the host may log in as anybody; the rights of moved users rest on the server knowing who they are',
    todo: 'upgrade ejabberd to 26.07, or keep PLAIN away: in ejabberd.yml `disable_sasl_mechanisms: ["plain", "digest-md5"]`',
  },
  {
    id: 'server.nesting',
    software: /^ejabberd$/i,
    what: 'a stanza of some 3,500 levels ends the server where Erlang’s threads have the stack they have by default (seen with 23.01)',
    why: 'any client that may log in can send one, and with the server all that it had only in memory is gone',
    todo: 'in ejabberdctl.cfg `ERL_OPTIONS="+sss 8192"`, then restart ejabberd; with it 30,000 levels do no harm',
  },
  {
    id: 'server.stanza-id',
    software: /^prosody$/i,
    before: '0.13',
    what: 'a stanza-id that a sender has forged stays in archived messages, before the server’s own',
    why: 'Crossfade takes the last one and is not deceived; apps that read `xml` or the archive by themselves may be',
    todo: 'upgrade Prosody to 13.0, or let apps take the last stanza-id whose `by` is their own address',
  },
  {
    id: 'broker.puback',
    software: /^mosquitto$/i,
    what: 'no setting makes a PUBACK durable',
    why: 'what the broker has answered may be gone after a crash; Crossfade publishes again what is not settled, for as long as mqtt.brokerHorizon says',
    todo: 'in mosquitto.conf `persistence true` and `autosave_interval 5`, then `mqtt.brokerHorizon: 10s`',
  },
];

/** `id` begins with what is asked about: `server.` or `broker.`. */
export function weaknessesOf(kind: 'server' | 'broker', name: string, release: string): Finding[] {
  return weaknesses
    .filter(({ id, software, before }) => id.startsWith(`${kind}.`) && software.test(name) && isBefore(release, before))
    .map(({ id, what, why, todo }) => ({
      id,
      level: 'warning',
      what: `${name} ${release}: ${what}`,
      ...(why && { why }),
      ...(todo && { todo }),
    }));
}

/** `0.12.3` is before `13.0`; a release without numbers (a nightly build) before nothing. */
export function isBefore(release: string, other: string | undefined): boolean {
  if (other === undefined) return true;
  const [one, two] = [numbersOf(release), numbersOf(other)];
  if (one.length === 0) return false;
  for (let at = 0; at < Math.max(one.length, two.length); at++) {
    const difference = (one[at] ?? 0) - (two[at] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

function numbersOf(release: string): number[] {
  return (/\d+(?:\.\d+)*/.exec(release)?.[0] ?? '').split('.').filter(Boolean).map(Number);
}
