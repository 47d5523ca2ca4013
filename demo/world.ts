/** Everything that runs in the demo, as its scenarios use it. */
import { join } from 'node:path';
import { type Load, startLoad } from './load/load.ts';
import { type Applications, applicationAddress, startApplications } from './machines/applications.ts';
import { type ConsulCluster, startConsulCluster } from './machines/consul-cluster.ts';
import { takeLoopbackRange } from './machines/loopback.ts';
import { createNamespaces } from './machines/namespaces.ts';
import type { Network } from './machines/network.ts';
import { RUN_VARIABLE } from './machines/process-table.ts';
import { Programs } from './machines/programs.ts';
import type { RunFolder } from './machines/run-folder.ts';
import { errorMessage } from '../src/lib/errors.ts';
import type { Screen } from './screen/screen.ts';
import { diagram } from './screen/diagram.ts';
import { MACHINES, MESH_MACHINES, PRODUCTPAGE } from './topology.ts';

export const ROOT = join(import.meta.dirname, '..');

export interface World {
  readonly network: Network;
  readonly programs: Programs;
  readonly consul: ConsulCluster;
  readonly applications: Applications;
  readonly screen: Screen;
  /** Aborted by Ctrl-C; long waits end with it. */
  readonly signal: AbortSignal;
  /** Starts GETs of the product page's JSON from the productpage's own machine. */
  startLoad(requestsPerSecond?: number): Load;
}
