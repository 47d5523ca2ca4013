/** A scripted client and a scripted application over raw sockets: what each saw, byte by byte, and how it ended. */
import { connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { PATIENCE_MS } from '../support/eventually.ts';
import { listen } from '../support/listen.ts';

/** What one side says: at once, or once it has seen what `after` matches (of all that it has seen so far). */
export interface Line {
  readonly after?: RegExp;
  readonly say?: string;
  /** Then ends the connection. */
  readonly end?: 'close' | 'reset';
}

export interface Conversation {
  readonly client: readonly Line[];
  readonly application: readonly Line[];
  /** The client is content when it has seen this; absent: it waits for the end of the connection. */
  readonly until?: RegExp;
  /** Address that the client calls from. */
  readonly from?: string;
  /** Address that it calls; absent: 127.0.0.1. */
  readonly to?: string;
}

export interface Outcome {
  /** What the application saw, of each of its connections. */
  readonly application: readonly string[];
  readonly client: string;
  /** How the connection stood for the client in the end. */
  readonly end: 'open' | 'closed' | 'reset' | 'refused';
  /** Address that the application saw. */
  readonly from: string | undefined;
}

/** For how long a connection that could still end is watched. */
const WATCH_MS = 100;

/** Plays a side's lines, in order. */
function play(socket: Socket, lines: readonly Line[], seen: () => string): () => void {
  let next = 0;
  return () => {
    for (; next < lines.length; next++) {
      const line = lines[next];
      if (line === undefined || (line.after !== undefined && !line.after.test(seen()))) return;
      if (line.say !== undefined) socket.write(line.say, 'latin1');
      if (line.end === 'close') socket.end();
      if (line.end === 'reset') socket.resetAndDestroy();
    }
  };
}

export interface RawApplication {
  readonly port: number;
  /** Starts afresh with a script. */
  perform(lines: readonly Line[]): void;
  readonly seen: readonly { readonly text: string; readonly from: string | undefined }[];
}

/** Listens on 127.0.0.1; `t` stops it. */
export async function rawApplication(t: TestContext): Promise<RawApplication> {
  let script: readonly Line[] = [];
  const seen: { text: string; from: string | undefined }[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    const connection = { text: '', from: socket.remoteAddress };
    seen.push(connection);
    const go = play(socket, script, () => connection.text);
    socket.on('data', (chunk: Buffer) => {
      connection.text += chunk.toString('latin1');
      go();
    });
    go();
  });
  const port = await listen(t, server);
  return {
    port,
    seen,
    perform: (lines) => {
      script = lines;
      seen.length = 0;
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Holds the conversation through `port` and says what came of it. An end that is expected is waited for. */
export async function converse(
  port: number,
  application: RawApplication | undefined,
  conversation: Conversation,
  expected: Outcome['end'] = 'open',
): Promise<Outcome> {
  application?.perform(conversation.application);
  let text = '';
  let end: Outcome['end'] = 'open';
  const { from, to = '127.0.0.1', until } = conversation;
  const socket = connect({ port, host: to, ...(from !== undefined && { localAddress: from }) });
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`nothing more came after ${JSON.stringify(text)}`)), PATIENCE_MS);
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    const go = play(socket, conversation.client, () => text);
    socket.once('connect', go);
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      go();
      // What lies in the socket by then counts as well, however late this process comes to run.
      if (until?.test(text) === true && expected === 'open')
        setTimeout(() => setImmediate(() => setImmediate(done)), WATCH_MS);
    });
    socket.once('end', () => {
      end = 'closed';
      done();
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      end = error.code === 'ECONNREFUSED' ? 'refused' : 'reset';
      done();
    });
  }).finally(() => socket.destroy());
  await delay(10);
  return {
    application: application?.seen.map((connection) => connection.text) ?? [],
    client: text,
    end,
    from: application?.seen[0]?.from,
  };
}
