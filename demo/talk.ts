// What the people get on their screens after the story, line by line; silent until it is opened.

import type { Element } from 'ltx';
import type { Screen } from './screen.ts';

export class Talk {
  /** Called with each message that was shown. */
  onMessage: (who: string, from: string, body: string) => void = () => {};
  #open = false;
  readonly #screen: Screen;

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  open(): void {
    this.#open = true;
  }

  /** For the stanzas of one person's legacy client. */
  heardBy(who: string): (stanza: Element) => void {
    return (stanza) => {
      const { name, attrs } = stanza;
      const body = stanza.getChildText('body');
      if (name === 'message' && attrs.type !== 'error' && body) this.show(who, attrs.from ?? '', body);
    };
  }

  show(who: string, from: string, body: string): void {
    if (!this.#open) return;
    this.#screen.says(who, `← ${from}: ${body}`);
    this.onMessage(who, from, body);
  }
}
