// What every play with the server module needs: a Prosody, a gateway on a bare socket, legacy clients that are logged out at the end.

import { type LegacyClient, type LegacyOptions, legacyClient } from '../harness/legacy-client.ts';
import { type Prosody, type ProsodyOptions, startProsody } from '../harness/prosody.ts';
import { RawComponent } from '../harness/raw-component.ts';

const SECRET = 'not-a-real-secret';
export const GATEWAY = 'gw.example.com';
export const STRANGER = 'other.example.com';

export class Stage {
  readonly prosody: Prosody;
  private readonly clients: LegacyClient[] = [];
  private readonly components: RawComponent[] = [];

  private constructor(prosody: Prosody) {
    this.prosody = prosody;
  }

  /** Every user's password is the name. Only GATEWAY may attach sessions, STRANGER is a component without that right. */
  static async open(
    users: string[],
    options: Pick<ProsodyOptions, 'archive' | 'attach' | 'options'> = {},
  ): Promise<Stage> {
    const prosody = await startProsody({
      accounts: Object.fromEntries(users.map((user) => [user, user])),
      components: [GATEWAY, STRANGER].map((domain) => ({ domain, secret: SECRET })),
      archive: options.archive,
      attach: options.attach,
      options: `${options.options ?? ''}\n  crossfade_components = { "${GATEWAY}" }`,
    });
    return new Stage(prosody);
  }

  async component(domain = GATEWAY): Promise<RawComponent> {
    const component = await RawComponent.open({ port: this.prosody.componentPort, domain, secret: SECRET });
    this.components.push(component);
    return component;
  }

  async login(user: string, options: Partial<LegacyOptions> = {}): Promise<LegacyClient> {
    const client = await legacyClient({ port: this.prosody.c2sPort, user, password: user, ...options });
    this.clients.push(client);
    return client;
  }

  /** Ends what the last play has opened; the server goes on. */
  async clear(): Promise<void> {
    await Promise.all(this.clients.splice(0).map((client) => client.stop()));
    await Promise.all(this.components.splice(0).map((component) => component.kill()));
  }

  async close(): Promise<void> {
    await this.clear();
    await this.prosody.stop();
  }
}

export function chat(to: string, body: string, extra = ''): string {
  return `<message to='${to}' type='chat' id='id-${body}'><body>${body}</body>${extra}</message>`;
}

/** [prefix 1, prefix 2, … prefix count] */
export function numbered(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index + 1}`);
}
