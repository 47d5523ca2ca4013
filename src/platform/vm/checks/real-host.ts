/** What checks see of the machine that they run on. */
import { execFile } from 'node:child_process';
import { Resolver } from 'node:dns/promises';
import { readdir, readFile, realpath, stat, statfs } from 'node:fs/promises';
import { request } from 'node:http';
import { networkInterfaces } from 'node:os';
import { dirname } from 'node:path';
import { errorCode, errorMessage } from '../../../lib/errors.ts';
import type { DiskSpace, DnsAnswer, FileFacts, HostIo, RunResult } from './host-check.ts';

const RUN_TIMEOUT_MS = 4000;
const MAX_OUTPUT = 16 * 1024 * 1024;
const DNS_TIMEOUT_MS = 1500;
const SOCKET_TIMEOUT_MS = 2000;
/** Where Debian keeps `nft` and its like, outside of an ordinary user's PATH. */
const ADMINISTRATORS = '/usr/sbin:/sbin';

async function orUndefined<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch {
    return undefined;
  }
}

function kindOf(facts: { isFile(): boolean; isDirectory(): boolean }): FileFacts['kind'] {
  if (facts.isFile()) return 'file';
  return facts.isDirectory() ? 'folder' : 'other';
}

async function spaceOf(path: string): Promise<DiskSpace | undefined> {
  const found = await orUndefined(statfs(path));
  if (found !== undefined)
    return {
      freeBytes: found.bavail * found.bsize,
      totalBytes: found.blocks * found.bsize,
      freeFiles: found.ffree,
      totalFiles: found.files,
    };
  const parent = dirname(path);
  return parent === path ? undefined : spaceOf(parent);
}

async function run(program: string, args: readonly string[], input = ''): Promise<RunResult | undefined> {
  // One language, so that what programs say can be read.
  const env = { ...process.env, LC_ALL: 'C', PATH: `${process.env['PATH'] ?? '/usr/bin:/bin'}:${ADMINISTRATORS}` };
  return new Promise((resolve) => {
    const child = execFile(
      program,
      args,
      { env, timeout: RUN_TIMEOUT_MS, killSignal: 'SIGKILL', maxBuffer: MAX_OUTPUT },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : error.code;
        if (code === 'ENOENT' || code === 'EACCES') resolve(undefined);
        else resolve({ code: typeof code === 'number' ? code : undefined, stdout, stderr });
      },
    );
    // A program that ends without reading is told by its exit code.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}

async function ask(server: string, name: string): Promise<DnsAnswer> {
  const resolver = new Resolver({ timeout: DNS_TIMEOUT_MS, tries: 1 });
  try {
    resolver.setServers([server]);
    return { addresses: await resolver.resolve4(name) };
  } catch (error) {
    return { error: errorCode(error) ?? errorMessage(error) };
  }
}

async function getJson(socketPath: string, path: string): Promise<unknown> {
  return orUndefined(
    new Promise((resolve, reject) => {
      const asked = request({ socketPath, path, timeout: SOCKET_TIMEOUT_MS }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
          if (text.length > MAX_OUTPUT) response.destroy(new Error('too long'));
        });
        response.once('error', reject);
        response.once('end', () => {
          if (response.statusCode !== 200) return reject(new Error(`status ${response.statusCode}`));
          try {
            resolve(JSON.parse(text) as unknown);
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)));
          }
        });
      });
      asked.once('timeout', () => asked.destroy(new Error('timed out')));
      asked.once('error', reject);
      asked.end();
    }),
  );
}

/** @param listeners how to look at the kernel's socket tables */
export function realHost(listeners: HostIo['listeners']): HostIo {
  return {
    read: async (path) => orUndefined(readFile(path, 'utf8')),
    list: async (path) => orUndefined(readdir(path)),
    stat: async (path) => {
      const found = await orUndefined(stat(path));
      return found === undefined
        ? undefined
        : { kind: kindOf(found), mode: found.mode & 0o7777, uid: found.uid, gid: found.gid };
    },
    target: async (path) => orUndefined(realpath(path)),
    space: spaceOf,
    run,
    listeners,
    ask,
    getJson,
    addresses: () => Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address)),
    uid: process.getuid?.() ?? -1,
    now: () => Date.now(),
  };
}
