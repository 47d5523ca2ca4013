/** The names of the commands and where each is defined. Only the one that is asked for is loaded. */
import type { Command } from 'commander';

export interface CommandEntry {
  readonly name: string;
  /** The description that its definition gives, so that `trysail --help` needs no definition. */
  readonly summary: string;
  register(program: Command): Promise<void>;
}

/** Sorted by name. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'agent',
    summary: 'Run the agent of this host until it is told to stop.',
    register: async (program) => (await import('./agent.ts')).registerAgentCommand(program),
  },
  {
    name: 'analyze',
    summary: 'Find what is wrong or doubtful in resources.',
    register: async (program) => (await import('./analyze.ts')).registerAnalyzeCommand(program),
  },
  {
    name: 'apply',
    summary: "Publish resource files as the fleet's configuration: signed, checked, all of it at once.",
    register: async (program) => (await import('./apply.ts')).registerApplyCommand(program),
  },
  {
    name: 'bypass',
    summary: 'Take traffic past the proxy, for a while, with everything else away.',
    register: async (program) => (await import('./bypass.ts')).registerBypassCommand(program),
  },
  {
    name: 'ca',
    summary: 'Make a certificate authority, and look after its hosts.',
    register: async (program) => (await import('./ca.ts')).registerCaCommands(program),
  },
  {
    name: 'capture',
    summary: 'Show, apply and remove the rules of transparent capture.',
    register: async (program) => (await import('./capture.ts')).registerCaptureCommands(program),
  },
  {
    name: 'check',
    summary: 'Check this host: its files, ports, clock, firewalls, resolver, kernel, Consul and CA.',
    register: async (program) => (await import('./check.ts')).registerCheckCommand(program),
  },
  {
    name: 'delete',
    summary: "Take resources out of the fleet's configuration.",
    register: async (program) => (await import('./delete.ts')).registerDeleteCommand(program),
  },
  {
    name: 'diff',
    summary: "Show what applying resource files would change in the fleet's configuration.",
    register: async (program) => (await import('./apply.ts')).registerDiffCommand(program),
  },
  {
    name: 'drain',
    summary: 'Take this host out of traffic: its services out of Consul, then Envoy drained.',
    register: async (program) => (await import('./drain.ts')).registerDrainCommand(program),
  },
  {
    name: 'explain',
    summary: 'Show what becomes of a request, by which rule, and why by no others.',
    register: async (program) => (await import('./explain.ts')).registerExplainCommand(program),
  },
  {
    name: 'fleet',
    summary: "Begin and look after the fleet's configuration in Consul.",
    register: async (program) => (await import('./fleet.ts')).registerFleetCommands(program),
  },
  {
    name: 'freeze',
    summary: "Stop all changes of the fleet's configuration.",
    register: async (program) => (await import('./freeze.ts')).registerFreezeCommand(program),
  },
  {
    name: 'get',
    summary: "Show what is published in the fleet's configuration.",
    register: async (program) => (await import('./get.ts')).registerGetCommand(program),
  },
  {
    name: 'history',
    summary: "Show who changed the fleet's configuration, when, and why.",
    register: async (program) => (await import('./history.ts')).registerHistoryCommand(program),
  },
  {
    name: 'join',
    summary: 'Make this host a member of a mesh.',
    register: async (program) => (await import('./join.ts')).registerJoinCommand(program),
  },
  {
    name: 'leave',
    summary: 'Take this host out of the mesh, and undo everything that joining did.',
    register: async (program) => (await import('./leave.ts')).registerLeaveCommand(program),
  },
  {
    name: 'publisher',
    summary: "Say who may publish what in the fleet's configuration.",
    register: async (program) => (await import('./fleet.ts')).registerPublisherCommands(program),
  },
  {
    name: 'reload',
    summary: 'Read agent.yaml, meshconfig.yaml and the resources of this host again.',
    register: async (program) => (await import('./reload.ts')).registerReloadCommand(program),
  },
  {
    name: 'render',
    summary: 'Show what Envoy is told, from resource files alone.',
    register: async (program) => (await import('./render.ts')).registerRenderCommand(program),
  },
  {
    name: 'rollback',
    summary: 'Publish an earlier revision of a namespace as a new one.',
    register: async (program) => (await import('./history.ts')).registerRollbackCommand(program),
  },
  {
    name: 'rotate',
    summary: 'Renew the workload certificates of this host now.',
    register: async (program) => (await import('./rotate.ts')).registerRotateCommand(program),
  },
  {
    name: 'server',
    summary: "Run the mesh's servers: the certificate authority.",
    register: async (program) => (await import('./server.ts')).registerServerCommand(program),
  },
  {
    name: 'status',
    summary: 'Show whether this host is well, and everything about it.',
    register: async (program) => (await import('./status.ts')).registerStatusCommand(program),
  },
  {
    name: 'token',
    summary: 'Make, list and revoke join tokens.',
    register: async (program) => (await import('./token.ts')).registerTokenCommands(program),
  },
  {
    name: 'unfreeze',
    summary: "Let changes of the fleet's configuration go on.",
    register: async (program) => (await import('./freeze.ts')).registerUnfreezeCommand(program),
  },
  {
    name: 'version',
    summary: 'Print the version of Trysail and of what it runs on.',
    register: async (program) => (await import('./version.ts')).registerVersionCommand(program),
  },
];
