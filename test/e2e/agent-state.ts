/** What an agent says of itself: its status over the socket, without starting a program for each question. */
import { join } from 'node:path';
import { callApi } from '../../src/api/client.ts';
import type { Status } from '../../src/api/status.ts';
import { formatDiagnostic } from '../../src/model/diagnostic.ts';
import { eventually, PATIENCE_MS } from '../support/eventually.ts';
import type { LocalHost } from '../support/local-mesh.ts';

type Asked = Pick<LocalHost, 'runDir' | 'child'>;

export async function statusOf({ runDir }: Pick<LocalHost, 'runDir'>): Promise<Status> {
  return callApi(join(runDir, 'api.sock'), 'status', undefined);
}

/** Waits until `check` neither throws nor returns false; its last error then names what was missing. */
export async function untilStatus(
  host: Asked,
  what: string,
  // biome-ignore lint/suspicious/noConfusingVoidType: a check asserts or answers
  check: (status: Status) => boolean | void,
  timeoutMs = PATIENCE_MS,
): Promise<Status> {
  return eventually(
    what,
    async () => {
      const { exitCode } = host.child.process;
      if (exitCode !== null) throw new Error(`the agent ended with ${exitCode}:\n${host.child.output()}`);
      const status = await statusOf(host);
      if (check(status) === false) throw new Error(`${JSON.stringify(status, undefined, 1)}\n${host.child.output()}`);
      return status;
    },
    timeoutMs,
  );
}

/** The diagnostics of one code, a line each. */
export function diagnosed(status: Status, code: string): string {
  return status.diagnostics
    .filter((diagnostic) => diagnostic.code === code)
    .map(formatDiagnostic)
    .join('\n');
}

/** A GET: its status code and body, or the error's code when there is no answer. */
export async function get(url: string, path = '/'): Promise<{ readonly code: number | string; readonly body: string }> {
  try {
    const response = await fetch(url + path, { signal: AbortSignal.timeout(30_000) });
    return { code: response.status, body: await response.text() };
  } catch (error) {
    const { cause } = error as { cause?: { code?: string } };
    return { code: cause?.code ?? String(error), body: '' };
  }
}
