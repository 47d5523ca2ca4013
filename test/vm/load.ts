/** Load on a test machine, and what became of each request. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';
import type { Machine } from './machine.ts';

/** One request of the load; times in ms since 1970. */
export interface LoadSample {
  readonly t: number;
  readonly ms: number;
  /** 0: there was no answer. */
  readonly status: number;
  readonly error?: string;
  /** What the application that answered says of itself. */
  readonly version?: string;
  readonly machine?: string;
}

export interface Load {
  /** What is done so far. */
  samples(): Promise<readonly LoadSample[]>;
  /** Waits until `count` more requests are done, and returns those. */
  next(count: number): Promise<readonly LoadSample[]>;
  /** Ends the load after the requests under way, and returns all of it. */
  stop(): Promise<readonly LoadSample[]>;
}

export interface LoadOptions {
  readonly url: string;
  /** Requests a second, all workers together. Default: 60. */
  readonly rate?: number;
  /** Each has one connection, which it keeps. Default: 6. */
  readonly workers?: number;
  /** Name of the unit that it runs as. Default: `load`. */
  readonly unit?: string;
}

/** Those that were not answered with 200. */
export const failed = (samples: readonly LoadSample[]): readonly LoadSample[] =>
  samples.filter(({ status }) => status !== 200);

/** For a message: how many, how many failed and of what, the longest. */
export function summary(samples: readonly LoadSample[]): string {
  const kinds = new Map<string, number>();
  for (const { status, error } of failed(samples)) {
    const kind = `${status} ${error ?? ''}`.trim().slice(0, 120);
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  const longest = samples.reduce((most, { ms }) => Math.max(most, ms), 0);
  const faults = [...kinds].map(([kind, count]) => `${count} × ${kind}`).join('; ');
  return `${samples.length} requests, ${failed(samples).length} failed, the longest ${longest} ms${faults === '' ? '' : ` (${faults})`}`;
}

/** Starts requests on a machine, as a unit of their own; they go on until `stop`, whatever happens to them. */
export async function startLoad(machine: Machine, options: LoadOptions): Promise<Load> {
  const { url, rate = 60, workers = 6, unit = 'load' } = options;
  const output = `/root/${unit}.jsonl`;
  const stop = `/root/${unit}.stop`;
  await machine.run(`rm -f ${stop} ${output}; systemctl reset-failed ${unit} 2>/dev/null
    systemd-run -q --unit=${unit} python3 /fleet/load.py '${url}' ${rate} ${workers} ${output} ${stop}`);
  const samples = async (): Promise<readonly LoadSample[]> => {
    const text = await readFile(join(machine.root(), output), 'utf8').catch(() => '');
    // The last line may be half written.
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as LoadSample);
  };
  return {
    samples,
    next: async (count) => {
      const before = (await samples()).length;
      let more: readonly LoadSample[] = [];
      await eventually(
        `${count} more requests`,
        async () => {
          more = (await samples()).slice(before);
          return more.length >= count;
        },
        60_000,
      );
      return more;
    },
    stop: async () => {
      await machine.run(`touch ${stop}; while systemctl is-active -q ${unit}; do sleep 0.1; done`);
      return samples();
    },
  };
}
