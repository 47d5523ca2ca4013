/** The names of the commands and where each is defined. Only the one that is asked for is loaded. */
import type { Command } from 'commander';

/** The headings of `trysail --help`, in their order. */
export const COMMAND_GROUPS = {
  host: 'This host:',
  resources: 'What resources mean:',
  fleet: 'Configuration of all hosts:',
  authority: 'Who may join:',
  daemons: 'What runs:',
  other: 'Other:',
} as const;

export interface CommandEntry {
  readonly name: string;
  readonly group: keyof typeof COMMAND_GROUPS;
  /** The description that its definition gives, so that `trysail --help` needs no definition. */
  readonly summary: string;
  register(program: Command): Promise<void>;
}

/** Sorted by name. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'agent',
    group: 'daemons',
    summary: 'Run the agent of this host until it is told to stop.',
    register: async (program) => (await import('./agent.ts')).registerAgentCommand(program),
  },
  {
    name: 'analyze',
    group: 'resources',
    summary: 'Find what is wrong or doubtful in resources.',
    register: async (program) => (await import('./analyze.ts')).registerAnalyzeCommand(program),
  },
  {
    name: 'apply',
    group: 'fleet',
    summary: "Publish resource files as the fleet's configuration: signed, checked, all of it at once.",
    register: async (program) => (await import('./apply.ts')).registerApplyCommand(program),
  },
  {
    name: 'bypass',
    group: 'host',
    summary: 'Take traffic past the proxy, for a while, with everything else away.',
    register: async (program) => (await import('./bypass.ts')).registerBypassCommand(program),
  },
  {
    name: 'ca',
    group: 'authority',
    summary: 'Make a certificate authority, and look after its hosts.',
    register: async (program) => (await import('./ca.ts')).registerCaCommands(program),
  },
  {
    name: 'capture',
    group: 'host',
    summary: 'Show, apply and remove the rules of transparent capture.',
    register: async (program) => (await import('./capture.ts')).registerCaptureCommands(program),
  },
  {
    name: 'check',
    group: 'host',
    summary: 'Check this host: its files, ports, clock, firewalls, resolver, kernel, Consul and CA.',
    register: async (program) => (await import('./check.ts')).registerCheckCommand(program),
  },
  {
    name: 'delete',
    group: 'fleet',
    summary: "Take resources out of the fleet's configuration.",
    register: async (program) => (await import('./delete.ts')).registerDeleteCommand(program),
  },
  {
    name: 'diff',
    group: 'fleet',
    summary: "Show what applying resource files would change in the fleet's configuration.",
    register: async (program) => (await import('./apply.ts')).registerDiffCommand(program),
  },
  {
    name: 'drain',
    group: 'host',
    summary: 'Take this host out of traffic: its services out of Consul, then Envoy drained.',
    register: async (program) => (await import('./drain.ts')).registerDrainCommand(program),
  },
  {
    name: 'explain',
    group: 'resources',
    summary: 'Show what becomes of a request, by which rule, and why by no others.',
    register: async (program) => (await import('./explain.ts')).registerExplainCommand(program),
  },
  {
    name: 'fleet',
    group: 'fleet',
    summary: "Begin and look after the fleet's configuration in Consul.",
    register: async (program) => (await import('./fleet.ts')).registerFleetCommands(program),
  },
  {
    name: 'freeze',
    group: 'fleet',
    summary: "Stop all changes of the fleet's configuration.",
    register: async (program) => (await import('./freeze.ts')).registerFreezeCommand(program),
  },
  {
    name: 'get',
    group: 'fleet',
    summary: "Show what is published in the fleet's configuration.",
    register: async (program) => (await import('./get.ts')).registerGetCommand(program),
  },
  {
    name: 'history',
    group: 'fleet',
    summary: "Show who changed the fleet's configuration, when, and why.",
    register: async (program) => (await import('./history.ts')).registerHistoryCommand(program),
  },
  {
    name: 'join',
    group: 'host',
    summary: 'Make this host a member of a mesh.',
    register: async (program) => (await import('./join.ts')).registerJoinCommand(program),
  },
  {
    name: 'leave',
    group: 'host',
    summary: 'Take this host out of the mesh, and undo everything that joining did.',
    register: async (program) => (await import('./leave.ts')).registerLeaveCommand(program),
  },
  {
    name: 'publisher',
    group: 'fleet',
    summary: "Say who may publish what in the fleet's configuration.",
    register: async (program) => (await import('./fleet.ts')).registerPublisherCommands(program),
  },
  {
    name: 'reload',
    group: 'host',
    summary: 'Read agent.yaml, meshconfig.yaml and the resources of this host again.',
    register: async (program) => (await import('./reload.ts')).registerReloadCommand(program),
  },
  {
    name: 'render',
    group: 'resources',
    summary: 'Show what Envoy is told, from resource files alone.',
    register: async (program) => (await import('./render.ts')).registerRenderCommand(program),
  },
  {
    name: 'rollback',
    group: 'fleet',
    summary: 'Publish an earlier revision of a namespace as a new one.',
    register: async (program) => (await import('./history.ts')).registerRollbackCommand(program),
  },
  {
    name: 'rollout',
    group: 'fleet',
    summary: 'See to a change that goes out in steps.',
    register: async (program) => (await import('./rollout.ts')).registerRolloutCommands(program),
  },
  {
    name: 'rotate',
    group: 'host',
    summary: 'Renew the workload certificates of this host now.',
    register: async (program) => (await import('./rotate.ts')).registerRotateCommand(program),
  },
  {
    name: 'server',
    group: 'daemons',
    summary: "Run the mesh's servers: the certificate authority.",
    register: async (program) => (await import('./server.ts')).registerServerCommand(program),
  },
  {
    name: 'status',
    group: 'host',
    summary: 'Show whether this host is well, and everything about it.',
    register: async (program) => (await import('./status.ts')).registerStatusCommand(program),
  },
  {
    name: 'token',
    group: 'authority',
    summary: 'Make, list and revoke join tokens.',
    register: async (program) => (await import('./token.ts')).registerTokenCommands(program),
  },
  {
    name: 'unfreeze',
    group: 'fleet',
    summary: "Let changes of the fleet's configuration go on.",
    register: async (program) => (await import('./freeze.ts')).registerUnfreezeCommand(program),
  },
  {
    name: 'version',
    group: 'other',
    summary: 'Print the version of Trysail and of what it runs on.',
    register: async (program) => (await import('./version.ts')).registerVersionCommand(program),
  },
];
