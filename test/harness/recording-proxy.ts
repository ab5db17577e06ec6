// A TCP proxy that writes down every byte of each connection, both ways.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface Recording {
  /** What the client sent. */
  readonly sent: string;
  /** What it was sent. */
  readonly received: string;
}

export interface RecordingProxy {
  readonly port: number;
  /** Of each connection so far, in the order in which they were opened. */
  recordings(): Recording[];
  stop(): Promise<void>;
}

/** Passes on what comes to a free port of its own to `port` on this machine. */
export async function recordingProxy(port: number): Promise<RecordingProxy> {
  const lines: { sent: Buffer[]; received: Buffer[] }[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const line = { sent: [] as Buffer[], received: [] as Buffer[] };
    lines.push(line);
    const upstream = connect(port, '127.0.0.1');
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      // Either side may go as it likes: what it left behind is in the recording.
      socket.on('error', () => {});
      socket.once('close', () => {
        sockets.delete(socket);
        // Without an end it was cut; a pipe ends the other side only at an end.
        if (!socket.readableEnded) other.destroy();
      });
    }
    client.on('data', (bytes) => line.sent.push(bytes));
    upstream.on('data', (bytes) => line.received.push(bytes));
    client.pipe(upstream).pipe(client);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    recordings: () =>
      lines.map(({ sent, received }) => ({
        sent: Buffer.concat(sent).toString(),
        received: Buffer.concat(received).toString(),
      })),
    async stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
