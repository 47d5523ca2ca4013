/** The demo's command line. */
import { parseArgs } from 'node:util';

export interface DemoOptions {
  /** End after the checks, with an exit code. */
  readonly check: boolean;
  /** Loopback addresses although namespaces would be possible. */
  readonly loopback: boolean;
  /** Only remove what killed runs left behind. */
  readonly clean: boolean;
  /** Only scenarios whose names contain this. */
  readonly only: string | undefined;
  readonly help: boolean;
}

export const USAGE = `usage: scripts/demo [--check] [--loopback] [--only TEXT]

Brings up a bookshop on nine small "machines", each with its own Consul agent, Trysail agent and Envoy; shows and checks
what the mesh does while load runs and things die; stays up until Ctrl-C.

  --check      end after the checks: exit code 0 when all hold, 1 otherwise
  --loopback   loopback addresses instead of network namespaces (what users without root get)
  --only TEXT  only the scenarios with this in their names, such as "canary"
  --clean      remove what a killed run left behind, nothing else
`;

/** Throws a TypeError that names the option for one that does not exist. */
export function readDemoOptions(argv: readonly string[]): DemoOptions {
  const flag = { type: 'boolean', default: false } as const;
  const { values } = parseArgs({
    args: [...argv],
    options: { check: flag, loopback: flag, clean: flag, only: { type: 'string' }, help: { ...flag, short: 'h' } },
  });
  return { ...values, only: values.only };
}
