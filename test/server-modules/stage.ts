// What every play with a server module needs: a server, a gateway on a bare socket, legacy clients that are logged out at the end.

import { type LegacyClient, type LegacyOptions, legacyClient } from '../harness/legacy-client.ts';
import type { LegacyServer, LegacyServerOptions, ServerKind } from '../harness/legacy-server.ts';
import { RawComponent } from '../harness/raw-component.ts';

const SECRET = 'not-a-real-secret';
export const GATEWAY = 'gw.example.com';
export const STRANGER = 'other.example.com';

export class Stage {
  readonly server: LegacyServer;
  private readonly clients: LegacyClient[] = [];
  private readonly components: RawComponent[] = [];

  private constructor(server: LegacyServer) {
    this.server = server;
  }

  /** Every user's password is the name. Only GATEWAY may attach sessions, STRANGER is a component without that right. */
  static async open(
    kind: ServerKind,
    users: string[],
    options: Omit<LegacyServerOptions, 'accounts' | 'components' | 'attachers'> = {},
  ): Promise<Stage> {
    const server = await kind.start({
      accounts: Object.fromEntries(users.map((user) => [user, user])),
      components: [GATEWAY, STRANGER].map((domain) => ({ domain, secret: SECRET })),
      attachers: [GATEWAY],
      ...options,
    });
    return new Stage(server);
  }

  async component(domain = GATEWAY): Promise<RawComponent> {
    const { componentPort: port } = this.server;
    const settle = () => this.server.settle();
    const component = await RawComponent.open({ port, domain, secret: SECRET, settle });
    this.components.push(component);
    return component;
  }

  async login(user: string, options: Partial<LegacyOptions> = {}): Promise<LegacyClient> {
    const client = await legacyClient({ port: this.server.c2sPort, user, password: user, ...options });
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
    await this.server.stop();
  }
}

export function chat(to: string, body: string, extra = ''): string {
  return `<message to='${to}' type='chat' id='id-${body}'><body>${body}</body>${extra}</message>`;
}

/** [prefix 1, prefix 2, … prefix count] */
export function numbered(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index + 1}`);
}
