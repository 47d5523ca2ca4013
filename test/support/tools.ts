/** The programs that `scripts/setup` fetched. Tests that need one fail with what to do when it is missing. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');

function tool(name: string): string {
  const path = join(ROOT, '.tools', name, name);
  if (!existsSync(path)) throw new Error(`${path} is missing: run scripts/setup`);
  return path;
}

export const envoyBinary = (): string => tool('envoy');
export const consulBinary = (): string => tool('consul');
