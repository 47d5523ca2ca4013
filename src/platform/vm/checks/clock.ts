/** Whether something keeps this host's clock right. What Consul and the CA say of it is compared where they are asked. */
import { finding, type HostCheck, type HostIo } from './host-check.ts';

const REMEDY = 'Run a time service: timedatectl set-ntp true, or install chrony. Certificates depend on the clock.';

/** What `chronyc -c tracking` says: offset of the system time in seconds, and the leap status. */
function parseChrony(line: string): { readonly synchronised: boolean; readonly offsetS: number } | undefined {
  const fields = line.trim().split(',');
  if (fields.length < 14) return undefined;
  return { synchronised: fields[13] !== 'Not synchronised', offsetS: Number(fields[4]) };
}

async function byChrony(io: HostIo): Promise<{ readonly synchronised: boolean; readonly says: string } | undefined> {
  const shown = await io.run('chronyc', ['-c', 'tracking']);
  const found = shown?.code === 0 ? parseChrony(shown.stdout) : undefined;
  return found === undefined
    ? undefined
    : { synchronised: found.synchronised, says: `chrony, ${Math.abs(found.offsetS * 1000).toFixed(1)} ms off` };
}

async function byTimedated(io: HostIo): Promise<{ readonly synchronised: boolean; readonly says: string } | undefined> {
  const shown = await io.run('timedatectl', ['show', '--property=NTP,NTPSynchronized']);
  if (shown?.code !== 0) return undefined;
  const synchronised = shown.stdout.includes('NTPSynchronized=yes');
  const off = shown.stdout.includes('NTP=no');
  if (synchronised) return { synchronised, says: 'the kernel says so' };
  return { synchronised, says: off ? 'no time service is switched on' : 'no time service has set it yet' };
}

export const CLOCK_CHECK: HostCheck = {
  name: 'clock',
  async run({ io }) {
    const found = (await byChrony(io)) ?? (await byTimedated(io));
    if (found === undefined)
      return { facts: [], findings: [], skipped: 'neither timedatectl nor chronyc tells whether it is synchronised' };
    if (found.synchronised) return { facts: [`synchronised (${found.says})`], findings: [] };
    return {
      facts: [],
      findings: [finding('TRY1111', 'warning', 'clock', `it is not synchronised (${found.says})`, REMEDY)],
    };
  },
};
