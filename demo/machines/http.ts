/** Plain HTTP requests made on a machine, as a process of that machine. */
import { join } from 'node:path';
import type { Machine } from '../topology.ts';
import type { Network } from './network.ts';
import { runCommand } from './run-command.ts';

const PROGRAM = join(import.meta.dirname, 'http-call.ts');

interface HttpCall {
  readonly method?: 'GET' | 'PUT' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
}

/** The body of a 2xx answer. Throws an Error with the status, or with what went wrong, for anything else. */
export async function httpFrom(network: Network, machine: Machine, url: string, call: HttpCall = {}): Promise<string> {
  const { method = 'GET', headers = {}, body } = call;
  const headerArguments = Object.entries(headers).map(([name, value]) => `${name}:${value}`);
  return runCommand(network.commandOn(machine, [process.execPath, PROGRAM, method, url, ...headerArguments]), {
    input: body === undefined ? '' : JSON.stringify(body),
  });
}
