/** The programs of ours: which Envoy would be started, whether the running one is the same, and this Node. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { TrysailError } from '../../../lib/errors.ts';
import { type BinarySearch, envoyVersion, findEnvoyBinary } from '../envoy-binary.ts';
import { finding, type HostCheck } from './host-check.ts';

/** Lower-case hexadecimal SHA-256 of a file. */
async function hashOf(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { signal })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** @param search where `envoy.binary` and the program's folder are */
export function envoyProgramCheck(search: BinarySearch): HostCheck {
  return {
    name: 'envoy',
    timeoutMs: 12_000,
    async run({ io, needs, signal }) {
      const node = `Node ${process.version.slice(1)}`;
      try {
        const path = await findEnvoyBinary(search);
        const [version, hash] = await Promise.all([envoyVersion(path), hashOf(path, signal)]);
        const [pid] = needs.envoyPids;
        const running = pid === undefined ? undefined : await io.target(`/proc/${pid}/exe`);
        const onDisk = await io.target(path);
        const facts = [`Envoy ${version}`, path, `sha256 ${hash.slice(0, 12)}…`, node];
        // A replaced program cannot be resolved: the kernel appends " (deleted)" to its name.
        if (pid === undefined || running === onDisk) return { facts, findings: [] };
        const what = running === undefined ? 'another file, or one that this user may not see' : running;
        if (running === undefined && io.uid !== 0) return { facts, findings: [] };
        return {
          facts,
          findings: [
            finding(
              'TRY1180',
              'info',
              `Envoy (pid ${pid})`,
              `it runs from ${what}, not from ${path}`,
              'The agent replaces it at its next start, without a failed request: systemctl restart trysail',
            ),
          ],
        };
      } catch (error) {
        if (!(error instanceof TrysailError)) throw error;
        return {
          facts: [node],
          findings: [finding('TRY0104', 'error', 'Envoy', error.message, error.remedy ?? 'Install Envoy.')],
        };
      }
    },
  };
}
