/** The agent's side of Envoy's DNS: answers for names that Envoy does not know, once their services are there. UDP. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { errorMessage } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { formatListen, type SocketAddress } from '../model/host.ts';
import type { Learnt } from './learner.ts';

/** As of Envoy's own answers. */
const TTL_MS = 30_000;

export class LearnerDns {
  readonly #learn: (name: string) => Promise<Learnt>;
  readonly #log: Log;
  #socket: Socket | undefined;
  #at: SocketAddress | undefined;
  #diagnostics: readonly Diagnostic[] = [];

  constructor(learn: (name: string) => Promise<Learnt>, log: Log) {
    this.#learn = learn;
    this.#log = log;
  }

  /** Why nobody is answered (`TRY0113`). */
  get diagnostics(): readonly Diagnostic[] {
    return this.#diagnostics;
  }

  /** Answers there from now on; undefined: nowhere. Returns at once. */
  listen(at: SocketAddress | undefined): void {
    if (at?.address === this.#at?.address && at?.port === this.#at?.port) return;
    this.close();
    this.#at = at;
    this.#diagnostics = [];
    if (at === undefined) return;
    const socket = createSocket(at.address.includes(':') ? 'udp6' : 'udp4');
    this.#socket = socket;
    socket.on('error', (error) => {
      this.#log.error({ at: formatListen(at), error: errorMessage(error) }, 'names cannot be learnt');
      this.#diagnostics = [
        {
          code: 'TRY0113',
          severity: 'error',
          object: `names, at ${formatListen(at)} (UDP)`,
          message: `services cannot be learnt by their names: ${errorMessage(error)}`,
          remedy:
            'Free the port, set another "dns.listen" (names are learnt at the port after it), or declare upstreams.',
        },
      ];
      if (this.#socket === socket) this.#socket = undefined;
      socket.close();
    });
    socket.on('message', (message, from) => {
      void this.#reply(socket, message, from);
    });
    socket.bind(at.port, at.address);
    socket.unref();
  }

  close(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#at = undefined;
    socket?.removeAllListeners();
    try {
      socket?.close();
    } catch {
      // It has closed itself after an error.
    }
  }

  /** Never rejects: what cannot be sent, such as to port 0, which anybody can say is theirs, is not. */
  async #reply(socket: Socket, message: Buffer, { port, address }: RemoteInfo): Promise<void> {
    try {
      const answer = await this.#answer(message);
      if (answer !== undefined && this.#socket === socket) socket.send(answer, port, address, () => undefined);
    } catch (error) {
      this.#log.debug({ error: errorMessage(error) }, 'a question about a name is not answered');
    }
  }

  async #answer(message: Buffer): Promise<Buffer | undefined> {
    // Most agents are never asked.
    const { readQuestion, writeAnswer } = await import('./dns-message.ts');
    const question = readQuestion(message);
    if (question === undefined) return undefined;
    if (question.family === undefined) return writeAnswer(question, 'unknown', [], 0);
    const learnt = await this.#learn(question.name);
    return learnt.outcome === 'found'
      ? writeAnswer(question, 'found', learnt.addresses, TTL_MS)
      : writeAnswer(question, learnt.outcome, [], 0);
  }
}
