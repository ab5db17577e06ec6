// The link as migration sees it: users instead of local parts, presence instead of stanzas.

import { Element } from 'ltx';
import type { LegacyServer } from '../migration/server.ts';
import type { Shown } from '../migration/shown.ts';
import { isRefusal } from '../refusal.ts';
import { parseJid, prepareBare } from '../xmpp/jid.ts';
import type { Attached, Link } from '../xmpp/link.ts';
import { writeStanza } from '../xmpp/xml-writer.ts';

export function legacyServer(link: Link, resource: string): LegacyServer {
  const localOf = (user: string) => parseJid(user)?.local ?? '';
  const ask = async (user: string, shown: Shown | null): Promise<Attached> => {
    const presence = shown === null ? undefined : presenceOf(shown);
    const [answer] = await link.attach([
      { user: localOf(user), resource, carbons: true, ...(presence && { presence }) },
    ]);
    return answer ?? { kind: 'lost' };
  };
  /**
   * A server that folds otherwise than we do (`ß` to `ss`, docs/decisions/jid-preparation.md) has made a session for another account. So
   * beyond ASCII the session shows itself, and is sent what waits offline, only once its name is known.
   */
  const attach = async (user: string, shown: Shown | null): Promise<Attached> => {
    const isPlain = /^[\x21-\x7e]+$/.test(user);
    const answer = await ask(user, isPlain ? shown : null);
    if (answer.kind !== 'attached') return answer;
    const account = prepareBare(answer.jid);
    if (account === user) {
      if (isPlain || shown === null) return answer;
      const again = await ask(user, shown);
      return again.kind === 'attached' ? { ...again, resumed: answer.resumed } : again;
    }
    if (!answer.resumed) await link.detach(answer.jid);
    return { kind: 'refused', condition: 'jid-malformed', text: `to the server ${user} is ${account}: move that user` };
  };
  return {
    get up() {
      return link.up;
    },
    get epoch() {
      return link.epoch;
    },
    get hasArchive() {
      return link.hasArchive;
    },
    link: link.name,
    lacks: link.lacks,
    stands: (jid) => link.stands(jid),
    mayHold: (epoch) => link.mayHold(epoch),
    jidOf: (user) => `${user}/${resource}`,
    attach: (user, shown) => attach(user, shown),
    show: (jid, shown) => link.send(jid, presenceOf(shown), `p${crypto.randomUUID()}`),
    detach: (jid) => link.detach(jid),
    observe: (user) => link.observe(localOf(user)),
    unobserve: (user) => link.unobserve(localOf(user)),
    lock: (user, text) => link.lock(localOf(user), text),
    unlock: (user) => link.unlock(localOf(user)),
    giveBack: ({ user, key, at, stanza, ends }) =>
      link.giveBack({ to: user, key, stamp: new Date(at).toISOString(), stanza, ends }),
  };
}

/** Priority 0: never above a legacy client, which without carbons would get nothing. */
function presenceOf({ show, text }: Shown): string {
  const presence = new Element('presence');
  if (show) presence.c('show').t(show);
  if (text) presence.c('status').t(text);
  presence.c('priority').t('0');
  const written = writeStanza(presence);
  // An app may have put a character into its text that XML has not.
  return isRefusal(written) ? presenceOf({ show }) : written;
}
