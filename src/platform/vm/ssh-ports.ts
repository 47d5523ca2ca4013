/** The ports on which sshd listens: those must stay as they are, whatever else is captured. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const text = async (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');

/** All files of a folder with an ending, one after another. */
async function folder(path: string, ending: string): Promise<string> {
  const names = await readdir(path).catch((): string[] => []);
  const found = await Promise.all(
    names.filter((name) => name.endsWith(ending)).map(async (name) => text(join(path, name))),
  );
  return found.join('\n');
}

/**
 * Ports in sshd's configuration (`Port`, `ListenAddress` with one) and in that of a socket unit (`ListenStream`).
 * https://man.openbsd.org/sshd_config
 */
export function sshPortsIn(sshdConfig: string, socketUnit: string): readonly number[] {
  const found = [
    ...sshdConfig.matchAll(/^\s*Port[\s=]+"?(?<port>\d+)/gim),
    ...sshdConfig.matchAll(/^\s*ListenAddress[\s=]+\S*[\]\d\w]:(?<port>\d+)\b/gim),
    ...socketUnit.matchAll(/^\s*ListenStream\s*=\s*(?:\S*:)?(?<port>\d+)\s*$/gm),
  ].map(({ groups }) => Number(groups?.['port']));
  return [...new Set(found)].filter((port) => port > 0 && port < 65_536).sort((a, b) => a - b);
}

/** As configured on this host; 22 is not added. A configuration that cannot be read counts for nothing. */
export async function sshPorts(etc = '/etc'): Promise<readonly number[]> {
  const [main, extra, socket, override] = await Promise.all([
    text(join(etc, 'ssh/sshd_config')),
    folder(join(etc, 'ssh/sshd_config.d'), '.conf'),
    text(join(etc, 'systemd/system/ssh.socket')),
    folder(join(etc, 'systemd/system/ssh.socket.d'), '.conf'),
  ]);
  return sshPortsIn(`${main}\n${extra}`, `${socket}\n${override}`);
}
