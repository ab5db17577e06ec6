// What clients of the component's own users can do, told in their presence (XEP-0115): the same for all, so a contact asks once.

import { Element } from 'ltx';
import { capabilitiesHash } from '../xmpp/capabilities.ts';
import { NS_CAPS, NS_DISCO_INFO, NS_VCARD } from '../xmpp/namespaces.ts';
import { type Answers, client } from './answers.ts';

const software = 'urn:crossfade:gateway';

/** Features of these users beside those that all of ours have. */
export const ownFeatures = [NS_VCARD, NS_CAPS];

export class OwnCapabilities {
  readonly #answers: Answers;
  readonly #ver: string;

  constructor({ answers }: { answers: Answers }) {
    this.#answers = answers;
    this.#ver = capabilitiesHash(this.#info());
  }

  /** For a presence (§4). */
  element(): Element {
    return new Element('c', { xmlns: NS_CAPS, hash: 'sha-1', node: software, ver: this.#ver });
  }

  /** The answer behind the hash (§6.2); undefined: another node is asked for. */
  answer(request: Element): Element | undefined {
    const { node } = request.attrs;
    if (!request.is('query', NS_DISCO_INFO) || node !== `${software}#${this.#ver}`) return undefined;
    const info = this.#info();
    info.attrs.node = node;
    return info;
  }

  #info(): Element {
    // A name of its own would give each user a hash of its own.
    return this.#answers.info(client, ownFeatures);
  }
}
