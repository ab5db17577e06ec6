// Types of the part of @xmpp/component 0.13 that Crossfade uses; the package has none.
declare module '@xmpp/component' {
  import type { EventEmitter } from 'node:events';
  import type { Socket } from 'node:net';
  import type { Element } from 'ltx';

  export interface Entity extends EventEmitter {
    socket: Socket | null;
    parser: { write(text: string): void } | null;
    /** Milliseconds for each of its own steps. */
    timeout: number;
    Parser: new () => EventEmitter;
    socketParameters: (service: string) => { host: string; port: number };
    _onData: (data: string) => void;
    _onParserError: (error: Error) => void;
    _onStreamError: (element: Element) => void;
    _end: () => Promise<void>;
    connect(service: string): Promise<void>;
    open(options: { domain: string }): Promise<Element>;
    authenticate(id: string, secret: string): Promise<void>;
  }

  export function component(options: { service: string; domain: string; password: string }): Entity;
}
