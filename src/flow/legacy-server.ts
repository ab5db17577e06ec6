// The attach link as migration sees it: users instead of local parts, presence instead of stanzas.

import { Element } from 'ltx';
import type { LegacyServer } from '../migration/server.ts';
import type { Shown } from '../migration/shown.ts';
import { isRefusal } from '../refusal.ts';
import type { AttachLink } from '../xmpp/attach-link.ts';
import { parseJid } from '../xmpp/jid.ts';
import { writeStanza } from '../xmpp/xml-writer.ts';

export function legacyServer(link: AttachLink, resource: string): LegacyServer {
  const localOf = (user: string) => parseJid(user)?.local ?? '';
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
    jidOf: (user) => `${user}/${resource}`,
    async attach(user, shown) {
      const [answer] = await link.attach([
        { user: localOf(user), resource, carbons: true, ...(shown && { presence: presenceOf(shown) }) },
      ]);
      return answer ?? { kind: 'lost' };
    },
    show: (jid, shown) => link.send(jid, presenceOf(shown), `p${crypto.randomUUID()}`),
    detach: (jid) => link.detach(jid),
    observe: (user) => link.observe(localOf(user)),
    unobserve: (user) => link.unobserve(localOf(user)),
    lock: (user, text) => link.lock(localOf(user), text),
    unlock: (user) => link.unlock(localOf(user)),
    giveBack: ({ user, key, at, stanza }) =>
      link.giveBack({ to: user, key, stamp: new Date(at).toISOString(), stanza }),
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
