/** Every exit code of the program. docs/errors.md lists them; a test holds the two together. */
import { CommanderError } from 'commander';
import { TrysailError } from '../lib/errors.ts';

export const EXIT = {
  /** All went well; `status`: the host is well; `check`: nothing that would stop the agent. */
  ok: 0,
  /** The command could not do what it was asked for. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The configuration has errors: `check`, `apply`, which publishes nothing then, and `agent`, which does not start. */
  invalidConfiguration: 3,
  /** `check --strict`, `analyze --fail-on`: warnings and no errors. */
  warnings: 4,
  /** `status`: the agent answers, and not all is well; `apply --stage`: hosts of a step do not answer. */
  unhealthy: 5,
  /** Nobody answers on the agent's socket. */
  agentNotRunning: 6,
  /** This user may not ask the agent. */
  forbidden: 7,
  /** `check`: the files are right, and the host or what it needs of others is not. */
  hostUnfit: 8,
  /** `join --check`: this host has not joined, or its credential has ended. */
  notJoined: 9,
  /** `diff`: applying the files would change something. */
  differs: 10,
  /** A defect of the program (EX_SOFTWARE of sysexits.h). */
  defect: 70,
  /** Ended by Ctrl-C (128 + SIGINT). */
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

const BY_ERROR: Readonly<Record<string, ExitCode>> = {
  AGENT_NOT_RUNNING: EXIT.agentNotRunning,
  AGENT_FORBIDDEN: EXIT.forbidden,
  JOIN_FORBIDDEN: EXIT.forbidden,
  JOIN_INCOMPLETE: EXIT.unhealthy,
  FLEET_ROLLOUT_STAYS: EXIT.unhealthy,
  FLEET_ROLLOUT_INTERRUPTED: EXIT.interrupted,
  CONFIGURATION_INVALID: EXIT.invalidConfiguration,
  MESH_CONFIG_INVALID: EXIT.invalidConfiguration,
  FLEET_INVALID: EXIT.invalidConfiguration,
  FLEET_MANIFEST: EXIT.invalidConfiguration,
  FLEET_KIND_UNKNOWN: EXIT.usage,
  FLEET_STEPS: EXIT.usage,
  FLEET_FILES: EXIT.usage,
  DRAIN_OPTION_INVALID: EXIT.usage,
  BYPASS_DURATION: EXIT.usage,
  BYPASS_NAMELESS: EXIT.usage,
  JOIN_OPTION_INVALID: EXIT.usage,
  ROLE_UNKNOWN: EXIT.usage,
  CHECK_UNKNOWN: EXIT.usage,
  REQUEST_INVALID: EXIT.usage,
  OPTIONS_INVALID: EXIT.usage,
  GATEWAY_UNKNOWN: EXIT.usage,
  WORKLOAD_UNKNOWN: EXIT.usage,
};

/** The exit code of whatever a command threw. */
export function exitCodeOf(thrown: unknown): ExitCode {
  if (thrown instanceof TrysailError) return BY_ERROR[thrown.code] ?? EXIT.failed;
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.usage;
  return EXIT.defect;
}
