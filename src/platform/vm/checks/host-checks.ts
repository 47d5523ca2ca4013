/** The checks of a VM, in the order of the report. */
import { APPLICATIONS_CHECK } from './applications.ts';
import { CAPACITY_CHECK } from './capacity.ts';
import { CLOCK_CHECK } from './clock.ts';
import { CONTAINERS_CHECK } from './containers.ts';
import { FILES_CHECK } from './files.ts';
import { FIREWALLS_CHECK } from './firewalls.ts';
import type { HostCheck } from './host-check.ts';
import { KERNEL_CHECK } from './kernel.ts';
import { NFTABLES_CHECK } from './nftables.ts';
import { PORTS_CHECK } from './ports.ts';
import { RESOLVER_CHECK } from './resolver.ts';
import { SECURITY_MODULES_CHECK } from './security-modules.ts';
import { SYSTEMD_CHECK } from './systemd.ts';

/** What the host is to this program; before what others say of it. */
export const PROGRAM_CHECKS: readonly HostCheck[] = [FILES_CHECK, PORTS_CHECK, APPLICATIONS_CHECK];

/** What else is on the host. */
export const SURROUNDINGS_CHECKS: readonly HostCheck[] = [
  CLOCK_CHECK,
  FIREWALLS_CHECK,
  CONTAINERS_CHECK,
  RESOLVER_CHECK,
  KERNEL_CHECK,
  NFTABLES_CHECK,
  SYSTEMD_CHECK,
  CAPACITY_CHECK,
  SECURITY_MODULES_CHECK,
];
