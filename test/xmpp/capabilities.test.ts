// Entity capabilities against the example that XEP-0115 works out (§5.2).

import { Element } from 'ltx';
import { expect, test } from 'vitest';
import { capabilitiesHash, verificationString } from '../../src/xmpp/capabilities.ts';
import { NS_DISCO_INFO } from '../../src/xmpp/namespaces.ts';

function info(identities: Record<string, string>[], features: string[]): Element {
  const query = new Element('query', { xmlns: NS_DISCO_INFO });
  for (const identity of identities) query.c('identity', identity);
  for (const feature of features) query.c('feature', { var: feature });
  return query;
}
const exodus = { category: 'client', type: 'pc', name: 'Exodus 0.9.1' };
const protocol = (name: string) => `http://jabber.org/protocol/${name}`;

test('the example of the XEP gives its hash, whatever the order', () => {
  const query = info([exodus], ['muc', 'disco#items', 'caps', 'disco#info'].map(protocol));
  expect(verificationString(query)).toBe(
    `client/pc//Exodus 0.9.1<${['caps', 'disco#info', 'disco#items', 'muc'].map((name) => `${protocol(name)}<`).join('')}`,
  );
  expect(capabilitiesHash(query)).toBe('QgayPKawpkPSDYmwT/WM94uAlu0=');
});

test('identities are told with their language, and sorted by octets', () => {
  const psi = [
    { 'xml:lang': 'el', category: 'client', name: 'Ψ 0.11', type: 'pc' },
    { 'xml:lang': 'en', category: 'client', name: 'Psi 0.11', type: 'pc' },
  ];
  expect(verificationString(info(psi, ['b', 'B', 'a']))).toBe('client/pc/el/Ψ 0.11<client/pc/en/Psi 0.11<B<a<b<');
});
