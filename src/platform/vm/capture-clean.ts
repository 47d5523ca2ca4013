/** Taking capture out of the kernel with everything else dead: as root, without an agent. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { TrysailError } from '../../lib/errors.ts';
import { sleep } from '../../lib/sleep.ts';
import { TPROXY_MARK, TPROXY_ROUTE_TABLE } from './capture-plan.ts';
import { CAPTURE_TABLE, GUARD_TABLE } from './capture-ruleset.ts';
import { runTool } from './host-tool.ts';

const GONE_MS = 1000;

async function quietly(program: string, ...args: readonly string[]): Promise<boolean> {
  return runTool(program, ...args).then(
    () => true,
    () => false,
  );
}

/** Whether a table of ours is in the kernel. */
async function hasTable(name: string): Promise<boolean> {
  return quietly('nft', 'list', 'table', 'inet', name);
}

/** The process that owns the table, by the holder's word, as long as it is still nft. */
async function ownerOf(dir: string): Promise<number | undefined> {
  try {
    const pid = Number(await readFile(join(dir, 'nft.pid'), 'utf8'));
    return (await readFile(`/proc/${pid}/comm`, 'utf8')).trim() === 'nft' ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Our table has an owner whom nobody else can overrule: it goes when that process does. */
async function endOwner(dir: string): Promise<void> {
  const pid = await ownerOf(dir);
  if (pid === undefined) return;
  process.kill(pid, 'SIGKILL');
  const end = performance.now() + GONE_MS;
  while (performance.now() < end && (await hasTable(CAPTURE_TABLE))) await sleep(10);
}

/**
 * Removes both tables, the route and the address of capture. What is not there is no error.
 * @param dirs where a holder may have its files: of the systemd unit, and of the agent
 * @throws TrysailError `CAPTURE_NOT_CLEAN` when a table remains
 */
export async function cleanCapture(
  dirs: readonly string[],
  guardFile: string,
): Promise<{ readonly removed: readonly string[] }> {
  const before = await Promise.all(
    [CAPTURE_TABLE, GUARD_TABLE].map(async (name) => ((await hasTable(name)) ? [name] : [])),
  );
  await rm(guardFile, { force: true });
  for (const dir of dirs) await endOwner(dir);
  await quietly('nft', 'delete', 'table', 'inet', CAPTURE_TABLE);
  await quietly('nft', 'delete', 'table', 'inet', GUARD_TABLE);
  for (const family of ['-4', '-6']) {
    for (let i = 0; i < 8; i++)
      if (!(await quietly('ip', family, 'rule', 'del', 'fwmark', `${TPROXY_MARK}`, 'lookup', `${TPROXY_ROUTE_TABLE}`)))
        break;
    await quietly('ip', family, 'route', 'flush', 'table', `${TPROXY_ROUTE_TABLE}`);
  }
  await quietly('ip', '-6', 'address', 'del', '::6/128', 'dev', 'lo');
  const left = await Promise.all(
    [CAPTURE_TABLE, GUARD_TABLE].map(async (name) => ((await hasTable(name)) ? [name] : [])),
  );
  if (left.flat().length > 0)
    throw new TrysailError(
      'CAPTURE_NOT_CLEAN',
      `the tables ${left
        .flat()
        .map((name) => `inet ${name}`)
        .join(' and ')} remain`,
      {
        remedy: 'Run it as root; if another process owns the table ("nft list tables" names it), end that process.',
      },
    );
  return { removed: before.flat() };
}
