/** The load generator as the demo sees it: a child process on a machine, and the samples that it has sent so far. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Sample } from './sample.ts';

export interface Load {
  /** All samples so far, in the order of their answers. */
  samples(): readonly Sample[];
  /** Samples of requests sent at `from` or later, in milliseconds since the epoch. */
  since(from: number): readonly Sample[];
  /** Ends it after the requests under way; resolves with all samples. */
  stop(): Promise<readonly Sample[]>;
}

interface LoadOptions {
  readonly url: string;
  readonly requestsPerSecond: number;
  /** Turns the generator's command into one that runs on the calling machine. */
  readonly commandOn: (argv: readonly string[]) => readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

/** Starts the load. It ends with `stop`, or with this process, whatever happens to it. */
export function startLoad({ url, requestsPerSecond, commandOn, env = {} }: LoadOptions): Load {
  const [command = '', ...args] = commandOn([
    process.execPath,
    join(import.meta.dirname, 'generator.ts'),
    url,
    String(requestsPerSecond),
  ]);
  const child = spawn(command, args, {
    detached: true,
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const samples: Sample[] = [];
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => samples.push(...(JSON.parse(line) as Sample[])));
  const ended = new Promise<void>((resolve) => {
    lines.once('close', resolve);
  });
  child.once('error', (error) => samples.push({ at: Date.now(), ms: 0, failure: `load generator: ${error.message}` }));
  // It closes with the child, which may be gone already.
  child.stdin.on('error', () => undefined);
  return {
    samples: () => samples,
    since: (from) => samples.filter((sample) => sample.at >= from),
    stop: async () => {
      child.stdin.end();
      const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
      await ended;
      clearTimeout(timer);
      return samples;
    },
  };
}
