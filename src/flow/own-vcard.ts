// A profile as legacy clients ask for it: vCard (XEP-0054), and the avatar's two nodes (XEP-0084), to be fetched only. Pure.

import { Element } from 'ltx';
import { avatarHash, type Profile } from '../migration/profile.ts';
import { NS_AVATAR_DATA, NS_AVATAR_METADATA, NS_PUBSUB, NS_VCARD } from '../xmpp/namespaces.ts';
import { elementsOf } from '../xmpp/stanza.ts';

/** `name`: what there is to show in any case. */
export function vCardOf({ about, url, email, organization, avatar }: Profile, name: string): Element {
  const vCard = new Element('vCard', { xmlns: NS_VCARD });
  vCard.c('FN').t(name);
  vCard.c('NICKNAME').t(name);
  if (avatar) {
    const photo = vCard.c('PHOTO');
    photo.c('TYPE').t(avatar.type);
    photo.c('BINVAL').t(avatar.data);
  }
  if (email) vCard.c('EMAIL').c('USERID').t(email);
  if (organization) vCard.c('ORG').c('ORGNAME').t(organization);
  if (about) vCard.c('DESC').t(about);
  if (url) vCard.c('URL').t(url);
  return vCard;
}

/** The items of one of the avatar's nodes, as a request names them; null where there are none. */
export function avatarItems({ avatar }: Profile, request: Element): Element | null {
  const wanted = request.getChild('items');
  const node = wanted?.attrs.node;
  if (!wanted || !avatar || (node !== NS_AVATAR_DATA && node !== NS_AVATAR_METADATA)) return null;
  const id = avatarHash(avatar);
  const ids = elementsOf(wanted).map(({ attrs }) => attrs.id);
  if (ids.length > 0 && !ids.includes(id)) return null;
  const pubsub = new Element('pubsub', { xmlns: NS_PUBSUB });
  const item = pubsub.c('items', { node }).c('item', { id });
  if (node === NS_AVATAR_DATA) item.c('data', { xmlns: node }).t(avatar.data);
  else {
    const bytes = String(Buffer.byteLength(avatar.data, 'base64'));
    item.c('metadata', { xmlns: node }).c('info', { id, type: avatar.type, bytes });
  }
  return pubsub;
}
