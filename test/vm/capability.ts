/** Whether this machine can boot test machines, and the base image that they start from. */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const IMAGE_TIMEOUT_MS = 900_000;

/** Where the kernel's cgroup2 hierarchy is mounted on this machine; undefined: nowhere. */
export async function cgroup2Mount(): Promise<string | undefined> {
  const mounts = await readFile('/proc/self/mounts', 'utf8');
  return mounts
    .split('\n')
    .map((line) => line.split(' '))
    .find(([, , type]) => type === 'cgroup2')?.[1];
}

interface Capability {
  /** Why there can be no machines. */
  readonly reason?: string;
  /** Root of the base image. */
  readonly image: string;
}

async function whyNot(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'machines with systemd need root';
  const cgroup2 = await cgroup2Mount();
  if (cgroup2 === undefined) return 'no cgroup2 hierarchy is mounted';
  try {
    await access(join(cgroup2, 'cgroup.procs'), constants.W_OK);
  } catch {
    return `${cgroup2} cannot be written to (a container?)`;
  }
  if (!(await readFile('/proc/filesystems', 'utf8')).includes('overlay'))
    return 'the kernel has no overlay file system';
  return undefined;
}

async function find(): Promise<Capability> {
  const reason = await whyNot();
  if (reason !== undefined) return { reason, image: '' };
  return new Promise((resolve) => {
    execFile(join(ROOT, 'scripts/vm-image'), { timeout: IMAGE_TIMEOUT_MS }, (error, stdout, stderr) => {
      process.stderr.write(stderr);
      const image = stdout.trim();
      if (error === null) resolve({ image });
      else resolve({ image, reason: `scripts/vm-image failed: ${stderr.trim().split('\n').at(-1) ?? ''}` });
    });
  });
}

let answer: Promise<Capability> | undefined;

/** The root of the base image. Read only: machines lay a file system of their own over it. */
export async function baseImage(): Promise<string> {
  answer ??= find();
  return (await answer).image;
}

/**
 * Undefined when machines can be booted here; else the reason why not, to skip a test with. The first call on a machine
 * makes the base image, which takes about a minute.
 */
export async function canBootMachines(): Promise<string | undefined> {
  answer ??= find();
  return (await answer).reason;
}
