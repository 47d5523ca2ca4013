/** An application behind Envoy, and requests to it. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { createServer, get, type RequestOptions } from 'node:http';
import { get as getTls } from 'node:https';
import type { TestContext } from 'node:test';
import type { TLSSocket } from 'node:tls';

/** An application that says its name; returns its port. */
export async function startApplication(t: Pick<TestContext, 'after'>, name: string): Promise<number> {
  const server = createServer({ keepAliveTimeout: 0 }, (_request, response) => response.end(name));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : assert.fail();
}

interface Answer {
  readonly status: number;
  readonly body: string;
  /** Of the server's certificate. */
  readonly subject: string | undefined;
}

/** One request on a connection of its own; fails when there is no answer within 30 s. */
export async function fetchFrom(
  port: number,
  tls = false,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const options: RequestOptions & { rejectUnauthorized: boolean } = {
    host: '127.0.0.1',
    port,
    headers,
    agent: false,
    timeout: 30_000,
    rejectUnauthorized: false,
  };
  return new Promise((resolve, reject) => {
    const request = (tls ? getTls : get)(options, (response) => {
      const subject = tls
        ? new X509Certificate((response.socket as TLSSocket).getPeerCertificate().raw).subject
        : undefined;
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body, subject }));
    });
    request.on('timeout', () => request.destroy(new Error('no answer within 30 s')));
    request.on('error', reject);
  });
}
