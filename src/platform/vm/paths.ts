/** Where things are on a VM. Every path can be set in `agent.yaml`; these are the defaults. */
import { join } from 'node:path';

/** https://refspecs.linuxfoundation.org/FHS_3.0/fhs/index.html */
export const PATHS = {
  agentConfig: '/etc/trysail/agent.yaml',
  meshConfig: '/etc/trysail/meshconfig.yaml',
  resources: '/etc/trysail/resources.d',
  /** Public key of the configuration's root. */
  fleetRoot: '/etc/trysail/fleet-root.pem',
  /** Certificates by the name of a folder, as Kubernetes has secrets. */
  credentials: '/etc/trysail/credentials',
  /** Survives a reboot: credential, keys, last good configuration. Mode 0700. */
  state: '/var/lib/trysail',
  /** Gone after a reboot: sockets, and what an agent knows of its running Envoy. */
  run: '/run/trysail',
  /** The run folder of Envoy where systemd runs it apart from the agent. */
  envoyRun: '/run/trysail-envoy',
  /** Where the unit that holds capture's rules takes them. */
  captureRun: '/run/trysail-capture',
} as const;

/** A path for a Unix socket has to be shorter than this, in bytes (`sun_path` in unix(7)). */
export const MAX_SOCKET_PATH_BYTES = 108;

/** The sockets of one agent, in its run folder. */
export function sockets(runDir: string): { readonly xds: string; readonly admin: string; readonly api: string } {
  return { xds: join(runDir, 'xds.sock'), admin: join(runDir, 'admin.sock'), api: join(runDir, 'api.sock') };
}
