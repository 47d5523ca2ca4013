/** All that Trysail could leave behind: on a host, in its kernel, in Consul. */
import type { Machine } from './machine.ts';
import { hostState } from './packages.ts';

/** `hostState`, and rules, routes, addresses, sockets, processes, settings of the kernel, and what Consul has; sorted lines. */
export async function wholeState(host: Machine): Promise<readonly string[]> {
  const more = await host.run(`
    nft list ruleset; ip -4 route show table all; ip -6 route show table all; ip rule; ip -o addr | sed 's/valid_lft.*//'
    sysctl net.ipv4.conf.all.route_localnet net.ipv4.ip_forward; resolvectl dns; cat /etc/resolv.conf
    find /run/systemd/system /run/systemd/transient -mindepth 1 2>/dev/null
    systemctl list-timers --all --no-legend | grep -i trysail; ls /dev/shm
    ss -Hlntu | awk '{print $1, $5}'; ps -eo user,comm | grep -i 'trysail\\|envoy'
    for path in agent/services agent/checks catalog/services kv/?keys; do curl -s http://127.0.0.1:8500/v1/$path; echo; done`);
  return [...(await hostState(host)), ...more.split('\n')].sort();
}
