/** Connections to Consul over TLS, with certificates that may be replaced on disk while we run. */
import { readFile, stat } from 'node:fs/promises';
import type { Agent, AgentOptions } from 'node:https';
import { errorMessage, TrysailError } from '../lib/errors.ts';

/** PEM files. Without `caFile` the system's roots count; the client certificate is optional. */
export interface ConsulTls {
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
}

/** How often the files' times are looked at, in milliseconds. */
const CHECK_EVERY_MS = 10_000;

async function read(path: string | undefined): Promise<Buffer | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path);
  } catch (cause) {
    throw new TrysailError('CONSUL_TLS_FILE', `Consul TLS file ${path}: ${errorMessage(cause)}.`, {
      remedy: 'Correct consul.caFile, certFile and keyFile, or the permissions of the file.',
      cause,
    });
  }
}

/** Gives the agent for the files as they are now. */
export class TlsAgents {
  readonly #tls: ConsulTls;
  readonly #options: AgentOptions;
  #agent: Agent | undefined;
  #version = '';
  #checkedAt = Number.NEGATIVE_INFINITY;

  constructor(tls: ConsulTls, options: AgentOptions) {
    this.#tls = tls;
    this.#options = options;
  }

  /** @throws TrysailError `CONSUL_TLS_FILE` */
  async current(): Promise<Agent> {
    const now = performance.now();
    if (this.#agent !== undefined && now - this.#checkedAt < CHECK_EVERY_MS) return this.#agent;
    const { caFile, certFile, keyFile } = this.#tls;
    const stats = await Promise.all(
      [caFile, certFile, keyFile].map(async (path) =>
        path === undefined ? undefined : stat(path).catch(() => undefined),
      ),
    );
    const version = stats.map((s) => `${s?.ino}:${s?.mtimeMs}`).join();
    if (this.#agent === undefined || version !== this.#version) {
      const [ca, cert, key] = await Promise.all([read(caFile), read(certFile), read(keyFile)]);
      const https = await import('node:https');
      // The agent before it is left to its requests in flight; its idle connections end with it.
      this.#agent = new https.Agent({
        ...this.#options,
        minVersion: 'TLSv1.2',
        ...(ca === undefined ? {} : { ca }),
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key }),
      });
      this.#version = version;
    }
    this.#checkedAt = now;
    return this.#agent;
  }

  close(): void {
    this.#agent?.destroy();
  }
}
