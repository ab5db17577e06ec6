// What the tests ask of any legacy server, and what one kind does otherwise than another: a third server is one more row of servers.ts.

/** One place of a module's source, written otherwise. */
export interface Breach {
  file: string;
  from: string;
  to: string;
}

export interface LegacyServerOptions {
  /** Local part (prepared) → password, in the domain example.com. */
  accounts: Record<string, string>;
  components: { domain: string; secret: string }[];
  /** Local part → those to whom it is subscribed, both ways. Default: nobody. */
  contacts?: Record<string, string[]>;
  /** Where configuration, data and log go; kept afterwards. Default: a temporary directory that `stop` removes. */
  dir?: string;
  /** Message archive (XEP-0313) for every account. Default false. */
  archive?: boolean;
  /** Loads the module. Default true. */
  attach?: boolean;
  /** The components that may attach sessions; where only one can, the first. Default: all that are there. */
  attachers?: string[];
  /** The module is broken on purpose, in one place. */
  broken?: Breach;
  /** Clients may use TLS (STARTTLS, or on a port of its own), with a certificate of a private authority. Default false. */
  tls?: boolean;
  /** Stanzas that a client's session may have unacknowledged and be resumed nevertheless (XEP-0198). Prosody only. */
  resumableQueue?: number;
  /** Seconds. */
  resumeTimeout?: number;
  maxUnacked?: number;
  /** Messages that offline storage keeps for each account. */
  maxOffline?: number;
}

export interface LegacyServer {
  readonly domain: 'example.com';
  readonly c2sPort: number;
  readonly componentPort: number;
  readonly dir: string;
  /** Where TLS is spoken from the first byte (XEP-0368). */
  readonly directPort?: number;
  /** The authority behind its certificate, a PEM file; absent without TLS. */
  readonly ca?: string;
  readonly pid: number;
  /** Ends it as an operator would, then removes its directory if it was a temporary one. */
  stop(): Promise<void>;
  /** Ends it with SIGKILL; the data stays for `restart`. */
  kill9(): Promise<void>;
  /** Ends it if it runs, and starts it again on the same ports and data. */
  restart(): Promise<void>;
  /** What it has logged so far. */
  log(): Promise<string>;
  /** As an operator's command does it. */
  deleteUser(user: string): Promise<void>;
  /** Loads, unloads or reloads the module, while the server runs. */
  module(action: 'load' | 'unload' | 'reload'): Promise<void>;
  /** Begins to close the stream of one client. */
  closeClient(jid: string): Promise<void>;
  /** Resolves when the client is known to have lost its connection, and its session waits to be resumed (XEP-0198). */
  untilPending(jid: string): Promise<void>;
  /** Resolves when no connection of this component is left that has ended and would swallow what is for the next one. */
  untilAway(domain: string): Promise<void>;
  /** Resolves when all stanzas that are on their way inside the server have arrived at a connection or in storage, on its disk. */
  settle(): Promise<void>;
}

export interface ServerKind {
  readonly name: 'Prosody' | 'ejabberd';
  start(options: LegacyServerOptions): Promise<LegacyServer>;
  /** A client without presence is sent carbons. */
  readonly carbonsWithoutPresence: boolean;
  /** What a client gets that writes a foreign `from`: an ordinary answer, since the server sets the sender, or the end of its stream. */
  readonly foreignFrom: 'replaced' | 'ends the stream';
  /** A client gets what different senders have sent in the order in which it was said; else only each sender's in that order. */
  readonly keepsOrder: boolean;
  /** So many messages the archive takes for one account in some seconds. */
  readonly archivedQuickly: number;
  /** The condition with which an archive answers a question for what comes after an id that it does not know. */
  readonly unknownMark: 'item-not-found' | undefined;
  /** More than one component may attach sessions of a host. */
  readonly severalGateways: boolean;
  /** How a line of its log begins that tells of a fault of the server. */
  readonly fault: RegExp;
  /** What waits for a component's connection when that ends is gone without a word; else it goes back to its sender. */
  readonly dropsAtEnd: boolean;
  /** A contact's request that is told to a session has the id with which it was sent, the first time and again. */
  readonly keepsRequestIds: boolean;
}
