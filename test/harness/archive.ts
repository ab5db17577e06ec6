// What stands in an account's message archive (XEP-0313), asked for by a client of its own without presence.

import type { Element } from 'ltx';
import type { Stage } from './stage.ts';

const pageSize = 50;

/** The bodies, in the archive's order. */
export async function archivedBodies(stage: Stage, name: string): Promise<string[]> {
  const client = await stage.legacyClient(name, { priority: null, resource: 'archive' });
  const bodies: string[] = [];
  try {
    for (let after = ''; ; ) {
      const from = client.inbox.all.length;
      const page = `<set xmlns='http://jabber.org/protocol/rsm'><max>${pageSize}</max>${after && `<after>${after}</after>`}</set>`;
      const answer = await client.iq(`<iq type='set'><query xmlns='urn:xmpp:mam:2'>${page}</query></iq>`);
      const results = client.inbox.all
        .slice(from)
        .flatMap((stanza) => stanza.getChild('result', 'urn:xmpp:mam:2') ?? []);
      for (const result of results) bodies.push(bodyOf(result));
      const next = answer.getChild('fin', 'urn:xmpp:mam:2')?.getChild('set')?.getChildText('last');
      if (results.length === 0 || !next) return bodies.filter((body) => body !== '');
      after = next;
    }
  } finally {
    await client.stop();
  }
}

function bodyOf(result: Element): string {
  return result.getChild('forwarded', 'urn:xmpp:forward:0')?.getChild('message')?.getChildText('body') ?? '';
}
