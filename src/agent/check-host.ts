/** The check of this host as a whole: its files, then everything that they need of the host and of others. */
import { allListeners } from '../envoy/port-owner.ts';
import { TrysailError } from '../lib/errors.ts';
import { nearest } from '../lib/nearest.ts';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { envoyProgramCheck } from '../platform/vm/checks/envoy-program.ts';
import type { CheckContext, HostCheck } from '../platform/vm/checks/host-check.ts';
import { PROGRAM_CHECKS, SURROUNDINGS_CHECKS } from '../platform/vm/checks/host-checks.ts';
import { realHost } from '../platform/vm/checks/real-host.ts';
import {
  type CheckResult,
  type CheckState,
  type RunOptions,
  resultOf,
  runChecks,
} from '../platform/vm/checks/run-checks.ts';
import { programDir } from './agent-files.ts';
import { checkConfiguration } from './check.ts';
import { caCheck } from './check-ca.ts';
import { consulCheck } from './check-consul.ts';
import { consulAclCheck } from './check-consul-acl.ts';
import { identityCheck } from './check-identity.ts';
import { hostNeeds, unknownNeeds } from './check-needs.ts';
import type { AgentSettings } from './settings.ts';
import type { LoadedSettings } from './settings-load.ts';

/** The shape of `trysail check -o json`; its fields are stable. */
export interface HostReport {
  /** Of agent.yaml; undefined when that has errors. */
  readonly host: string | undefined;
  /** The worst of the checks. */
  readonly state: Exclude<CheckState, 'skipped'>;
  /** In a fixed order; those that were not asked for are missing. */
  readonly checks: readonly CheckResult[];
}

export interface HostCheckOptions extends RunOptions {
  /** Files alone. */
  readonly offline?: boolean;
  /** Names of the only checks to run. */
  readonly only?: readonly string[];
  /** Replaces what the checks see of this machine, for tests. */
  readonly io?: CheckContext['io'];
}

const CONFIGURATION = 'configuration';

const notThere = (name: string): HostCheck => ({
  name,
  needsConfiguration: true,
  run: () => Promise.resolve({ facts: [], findings: [] }),
});

/** All checks but the one of the configuration. Without settings those that need them are left out when they run. */
function hostChecks(settings: AgentSettings | undefined, config = DEFAULT_MESH_CONFIG): readonly HostCheck[] {
  return [
    envoyProgramCheck({ configured: settings?.envoy.binary, programDir: programDir() }),
    ...PROGRAM_CHECKS,
    ...(settings === undefined
      ? ['identity', 'ca', 'consul', 'consul-acl'].map(notThere)
      : [
          identityCheck(settings, config),
          caCheck(settings, config.trustDomain),
          consulCheck(settings),
          consulAclCheck(settings, config),
        ]),
    ...SURROUNDINGS_CHECKS,
  ];
}

/** The names of all checks, in the order of the report. */
export function checkNames(): readonly string[] {
  return [CONFIGURATION, ...hostChecks(undefined).map(({ name }) => name)];
}

function refuseUnknown(only: readonly string[]): void {
  const names = checkNames();
  const wrong = only.find((name) => !names.includes(name));
  if (wrong === undefined) return;
  const suggestion = nearest(wrong, names);
  throw new TrysailError('CHECK_UNKNOWN', `there is no check "${wrong}"`, {
    remedy: suggestion === undefined ? `Name some of: ${names.join(', ')}.` : `Did you mean ${suggestion}?`,
  });
}

/**
 * Checks this host. Changes nothing, here and elsewhere; takes at most some twelve seconds.
 * @param file path of agent.yaml, from which `loaded` came
 * @throws TrysailError CHECK_UNKNOWN
 */
export async function checkHost(
  file: string,
  loaded: LoadedSettings,
  options: HostCheckOptions = {},
): Promise<HostReport> {
  const { offline = false, only = [], io = realHost(allListeners) } = options;
  refuseUnknown(only);
  const asked = (name: string): boolean => only.length === 0 || only.includes(name);
  const files = await checkConfiguration(file, loaded);
  const settings = 'settings' in loaded ? loaded.settings : undefined;
  const { config } = files;
  const configuration = resultOf(CONFIGURATION, { facts: files.checked, findings: files.diagnostics });
  const checks = offline ? [] : hostChecks(settings, config).filter(({ name }) => asked(name));
  const usable = settings !== undefined && config !== undefined;
  const needs = usable ? await hostNeeds(settings, config) : unknownNeeds(file);
  const results = [
    ...(asked(CONFIGURATION) ? [configuration] : []),
    ...(await runChecks(checks, { io, needs }, options)),
  ];
  const worst = (['error', 'warning'] as const).find((state) => results.some((each) => each.state === state));
  return { host: settings?.host.name, state: worst ?? 'ok', checks: results };
}
