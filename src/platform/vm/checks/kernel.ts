/** The kernel: its version, cgroups, IPv6, and what names by link need. */
import type { Diagnostic } from '../../../model/diagnostic.ts';
import { type CheckContext, finding, type HostCheck, type HostIo } from './host-check.ts';

/** Whether a release such as `5.10.0-8-amd64` is at least `major.minor`. */
export function isAtLeast(release: string, major: number, minor: number): boolean {
  const [foundMajor = 0, foundMinor = 0] = release.split('.').map((part) => Number.parseInt(part, 10));
  return foundMajor > major || (foundMajor === major && foundMinor >= minor);
}

/** The oldest that is tried; docs/support.md. */
const OLDEST = { major: 4, minor: 18 } as const;

/** `unified`: cgroup2 alone; `hybrid`: beside version 1; `v1`: cgroup2 is nowhere. */
export async function cgroupLayout(io: HostIo): Promise<'unified' | 'hybrid' | 'v1'> {
  if ((await io.stat('/sys/fs/cgroup/cgroup.controllers')) !== undefined) return 'unified';
  return (await io.stat('/sys/fs/cgroup/unified/cgroup.controllers')) === undefined ? 'v1' : 'hybrid';
}

function cgroups(layout: 'unified' | 'hybrid' | 'v1', { needs }: CheckContext): readonly Diagnostic[] {
  if (layout === 'unified') return [];
  return [
    finding(
      'TRY1160',
      needs.capture.cgroup ? 'error' : 'info',
      'cgroup2',
      layout === 'hybrid'
        ? '/sys/fs/cgroup is not cgroup2 alone but a mix with version 1'
        : '/sys/fs/cgroup is cgroup version 1',
      'Boot with systemd.unified_cgroup_hierarchy=1. Without it calls are told apart by user alone (services[].user), not by unit.',
    ),
  ];
}

async function dummyLinks({ io, needs }: CheckContext): Promise<readonly Diagnostic[]> {
  if (needs.dns === undefined) return [];
  const there = await io.stat('/sys/class/net/trysail0');
  const module = there === undefined ? await io.run('modprobe', ['-n', '-q', 'dummy']) : undefined;
  if (module === undefined || module.code === 0) return [];
  return [
    finding(
      'TRY1160',
      'warning',
      'dummy links',
      'the kernel has no module for them, so that systemd-resolved gets no link for the names of the mesh',
      'Install the module (in linux-modules-extra on cloud images), or forward the domain by another resolver.',
    ),
  ];
}

export const KERNEL_CHECK: HostCheck = {
  name: 'kernel',
  async run(context) {
    const { io, needs } = context;
    const [release = '', layout, six, dummy] = await Promise.all([
      io.read('/proc/sys/kernel/osrelease').then((text) => text?.trim()),
      cgroupLayout(io),
      io.read('/proc/net/if_inet6'),
      dummyLinks(context),
    ]);
    const ipv6 = six !== undefined && six.trim() !== '';
    const sixes = needs.ports.filter(({ address }) => address.includes(':') && address !== '::');
    const findings = [...cgroups(layout, context), ...dummy];
    if (!isAtLeast(release, OLDEST.major, OLDEST.minor))
      findings.push(
        finding(
          'TRY1160',
          'warning',
          'kernel',
          `${release} is older than any that Trysail is tried on`,
          `Use ${OLDEST.major}.${OLDEST.minor} or later.`,
        ),
      );
    if (!ipv6 && sixes.length > 0)
      findings.push(
        finding(
          'TRY1160',
          'error',
          sixes.map(({ object }) => object).join(', '),
          'agent.yaml has IPv6 addresses, and IPv6 is off on this host',
          'Run: sysctl -w net.ipv6.conf.all.disable_ipv6=0; or write IPv4 addresses.',
        ),
      );
    return {
      facts: [
        `Linux ${release}`,
        layout === 'unified' ? 'cgroup2' : `cgroups ${layout}`,
        ipv6 ? 'IPv4 and IPv6' : 'IPv4 alone',
      ],
      findings,
    };
  },
};
